"""A backhaul whose links migrations share, as a fluid: no packets, max-min fair rates."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from math import inf

import numpy as np

from testbed.simulation.fluid.fairness import max_min
from testbed.simulation.fluid.growth import Growth
from testbed.simulation.log import Order

_NOTHING = 1e-3  # bytes that rounding may leave


class _Flow:
    """An order under way: `sent` of the `size` bytes are through, the source has `here` of them."""

    def __init__(self, order: Order, path: tuple[int, ...], from_s: float) -> None:
        self.order = order
        self.path = path
        self._supply = deque(
            # A source may have less than the destination does: it sends nothing then
            (time_s, max(0.0, min(order.want_bytes, supplied_bytes) - order.have_bytes))
            for time_s, supplied_bytes in order.supply.steps()
        )
        self.size = self._supply[-1][1]
        self._end_bytes = max(order.have_bytes, min(order.want_bytes, order.supply.size_bytes))
        self.sent = 0.0
        self.here = 0.0
        self.progress = Growth(from_s, order.have_bytes)

    @property
    def ended(self) -> bool:
        """Whether all is there that the source gets in time."""
        return self.size - self.sent <= _NOTHING

    @property
    def waits(self) -> bool:
        """Whether it has sent what the source has."""
        return self.here - self.sent <= _NOTHING

    def look(self, now_s: float) -> None:
        """Take what the source has got by now."""
        while self._supply and self._supply[0][0] <= now_s:
            self.here = self._supply.popleft()[1]

    def changes_after_s(self, now_s: float, rate: float) -> float:
        """Return after how long it next begins or ends to send, or has more to send."""
        through_s = (self.here - self.sent) / rate if rate else inf
        return min(through_s, self._supply[0][0] - now_s) if self._supply else through_s

    def send(self, count: float, now_s: float) -> None:
        """So many bytes more are through by now; rounding leaves nothing of a layer's end."""
        self.sent = min(self.here, self.sent + count)
        if self.ended:
            self.sent = self.size
        arrived_bytes = self._end_bytes if self.ended else self.order.have_bytes + self.sent
        self.progress.to(now_s, arrived_bytes)


class Limited:
    """Migrations share the links of their paths.

    `path` returns the links from one server to another, as indices; each carries so many `bytes_s`
    of layers in a second.
    """

    def __init__(
        self, path: Callable[[int, int], tuple[int, ...]], bytes_s: Sequence[float]
    ) -> None:
        self._path = path
        self._bytes_s = np.array(bytes_s, dtype=float)

    def carry(self, orders: Sequence[Order], from_s: float, to_s: float) -> None:
        """Send what the sources have and what they get, until the interval is over."""
        flows = [_Flow(each, self._path(each.source, each.destination), from_s) for each in orders]
        for flow in flows:
            flow.order.until_s = to_s if flow.size else from_s
            flow.order.progress = flow.progress
        now_s = from_s
        while now_s < to_s and (going := [flow for flow in flows if not flow.ended]):
            for flow in going:
                flow.look(now_s)
            most = np.array([0.0 if flow.waits else flow.order.most_bytes_s for flow in going])
            rates = max_min([flow.path for flow in going], most, self._bytes_s).tolist()
            # A span, and not its end: it may be too short to tell one moment from the next
            passes_s = min(
                to_s - now_s,
                *(
                    flow.changes_after_s(now_s, rate)
                    for flow, rate in zip(going, rates, strict=True)
                ),
            )
            now_s += passes_s
            for flow, rate in zip(going, rates, strict=True):
                flow.send(rate * passes_s, now_s)
                if flow.ended:
                    flow.order.until_s = now_s
        for flow in flows:
            flow.order.sent_bytes = flow.sent
