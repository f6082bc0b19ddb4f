"""Who carries migrations in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from testbed.simulation.roaming import Order


class Carrier(Protocol):
    """A model of the backhaul."""

    def carry(self, orders: Sequence[Order], from_s: float, to_s: float) -> None:
        """Carry out the orders of an interval, each as far as it can be, and note that in them."""


class Unlimited:
    """The paper's backhaul: what a server has is at once where it shall be (section IV.B.4)."""

    def carry(self, orders: Sequence[Order], from_s: float, to_s: float) -> None:
        """Send what the sources have at the start, and what they get by the end as it comes."""
        for order in orders:
            sent = min(order.want_bytes, order.there_bytes) - order.have_bytes
            order.sent_bytes = max(0.0, sent)
            at_once = min(order.want_bytes, order.there_bytes) <= max(
                order.here_bytes, order.have_bytes
            )
            order.until_s = from_s if at_once else to_s
