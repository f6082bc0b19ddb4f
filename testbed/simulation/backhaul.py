"""A backhaul whose links migrations share, as a fluid: no packets, max-min fair rates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from testbed.simulation.fairness import max_min
from testbed.simulation.roaming import Order

FloatArray = npt.NDArray[np.float64]

_NOTHING = 1e-3  # bytes that rounding may leave


@dataclass
class _Flow:
    """An order under way.

    `sent` of the `size` bytes are through; the source has `here` of them, `more` a second.
    """

    order: Order
    path: tuple[int, ...]
    size: float
    here: float
    more: float
    sent: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether all is there."""
        return self.size - self.sent <= _NOTHING

    @property
    def waits(self) -> bool:
        """Whether it has sent what the source has."""
        return self.here - self.sent <= _NOTHING

    @property
    def most(self) -> float:
        """The rate that it can use, in bytes a second."""
        if self.ended or self.behind_s:
            return 0.0
        return self.more if self.waits else np.inf

    @property
    def behind_s(self) -> float:
        """For how long the source still has less than the destination."""
        behind = self.sent - self.here
        return behind / self.more if behind > _NOTHING else 0.0

    def changes_after_s(self, rate: float) -> float:
        """Return after how long it can use another rate."""
        if self.behind_s:
            return self.behind_s
        over_s = (self.size - self.sent) / rate if rate else np.inf
        if self.waits or rate <= self.more:
            return over_s
        return min(over_s, (self.here - self.sent) / (rate - self.more))


class Limited:
    """Migrations share the links of their paths.

    Args:
        path: returns the links from one server to another, as indices.
        bytes_s: what each link carries of layers in a second.
    """

    def __init__(
        self, path: Callable[[int, int], tuple[int, ...]], bytes_s: Sequence[float]
    ) -> None:
        self._path = path
        self._bytes_s = np.array(bytes_s, dtype=float)

    def carry(self, orders: Sequence[Order], from_s: float, to_s: float) -> None:
        """Send what the sources have and what they get, until the interval is over."""
        flows = [self._flow(order, to_s - from_s) for order in orders]
        now_s = from_s
        while now_s < to_s and (going := [flow for flow in flows if not flow.ended]):
            most = np.array([flow.most for flow in going])
            rates = max_min([flow.path for flow in going], most, self._bytes_s).tolist()
            changes_s = [
                flow.changes_after_s(rate) for flow, rate in zip(going, rates, strict=True)
            ]
            passes_s = min(to_s - now_s, *changes_s)
            now_s += passes_s
            for flow, rate in zip(going, rates, strict=True):
                flow.here += flow.more * passes_s
                flow.sent = min(flow.size, flow.sent + rate * passes_s)
                if flow.ended:
                    flow.order.until_s = now_s
        for flow in flows:
            flow.order.sent_bytes = flow.size if flow.ended else flow.sent
            flow.order.until_s = min(flow.order.until_s, to_s) if flow.size else from_s

    def _flow(self, order: Order, interval_s: float) -> _Flow:
        size = max(0.0, min(order.want_bytes, order.there_bytes) - order.have_bytes)
        return _Flow(
            order=order,
            path=self._path(order.source, order.destination),
            size=size,
            here=order.here_bytes - order.have_bytes,
            more=(order.there_bytes - order.here_bytes) / interval_s,
        )
