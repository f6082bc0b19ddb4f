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
            sent_bytes = min(order.want_bytes, order.supply[-1][1]) - order.have_bytes
            order.until_s = from_s
            if sent_bytes > 0:
                order.sent_bytes = sent_bytes
                enough = order.have_bytes + sent_bytes
                order.until_s = next(at_s for at_s, supplied in order.supply if supplied >= enough)
