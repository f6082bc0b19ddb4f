"""Who carries migrations in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from testbed.simulation.log import Order


class Carrier(Protocol):
    """A model of the backhaul."""

    def carry(self, orders: Sequence[Order], from_s: float, to_s: float) -> None:
        """Carry out the orders of an interval, each as far as it can be, and note that in them."""


class Unlimited:
    """The paper's backhaul: what a server has is at once where it shall be (section IV.B.4)."""

    def carry(self, orders: Sequence[Order], from_s: float, to_s: float) -> None:
        """Send what the sources have at the start, and what they get by the end as it comes."""
        for order in orders:
            order.until_s = from_s
            for time_s, supplied_bytes in order.supply:
                more_bytes = min(order.want_bytes, supplied_bytes) - order.have_bytes
                if more_bytes > order.sent_bytes:
                    order.sent_bytes, order.until_s = more_bytes, time_s
