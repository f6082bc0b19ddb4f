"""Who carries migrations in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Protocol

from testbed.simulation.fluid.growth import Growth
from testbed.simulation.log import Order


class Carrier(Protocol):
    """A model of the backhaul."""

    def carry(self, orders: Sequence[Order], from_s: float, to_s: float) -> None:
        """Carry out the orders of an interval, each as far as it can be, and note that in them."""


class Unlimited:
    """The paper's backhaul: what a server has is at once where it shall be (section IV.B.4).

    What has a highest rate of its own takes its time.
    """

    def carry(self, orders: Sequence[Order], from_s: float, to_s: float) -> None:
        """Send what the sources have at the start, and what they get by the end as it comes."""
        for order in orders:
            enough = min(order.want_bytes, order.supply.size_bytes)
            order.until_s = from_s
            if enough > order.have_bytes:
                since_s = order.supply.since_s(enough)
                passes_s = (enough - order.have_bytes) / order.most_bytes_s
                passes_s = max(0.0, min(passes_s, to_s - since_s))
                order.sent_bytes = enough - order.have_bytes
                if order.most_bytes_s < inf:
                    order.sent_bytes = min(order.sent_bytes, order.most_bytes_s * passes_s)
                order.until_s = since_s + passes_s
                order.progress = Growth(since_s, order.have_bytes)
                order.progress.to(order.until_s, order.have_bytes + order.sent_bytes)
