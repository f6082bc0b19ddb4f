"""A client's uplink, where its upload and its queries meet."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from testbed.simulation.stream import Stream

_NOTHING = 1e-6  # bytes that rounding leaves


def after(missing: float, sent: float) -> float:
    """Return what is missing of an upload after bytes of it have been sent."""
    left = missing - sent
    return left if left > _NOTHING else 0.0


class Stored(NamedTuple):
    """A layer is whole at the server: since when, and where it ends in the stream."""

    time_s: float
    end_bytes: int


class Uplink:
    """The uplink from a moment on: what is missing of the upload, beside queries.

    Args:
        stream: what is uploaded.
        shared: whether upload and queries have half of the rate each while both are there.
        now_s: the moment.
        missing: bytes that are still to be uploaded.
        leaves_s: when the client leaves, and uploads no more.

    Attributes:
        now_s, missing: as time goes on.
        stored: layers that became whole meanwhile.
    """

    def __init__(
        self, stream: Stream, *, shared: bool, now_s: float, missing: float, leaves_s: float
    ) -> None:
        self.now_s = now_s
        self.missing = missing
        self.leaves_s = leaves_s
        self.stored: list[Stored] = []
        self._stream = stream
        self._shared = shared
        self._ends_bytes = stream.layer_ends_bytes
        self._next = bisect_right(self._ends_bytes, stream.size_bytes - missing)

    def wait(self, seconds: float) -> None:
        """The client sends nothing for a query."""
        self._upload(max(0.0, min(seconds, self.leaves_s - self.now_s)), self._stream.up_bytes_s)
        self.now_s += seconds

    def send(self, count: float) -> None:
        """The client sends bytes of a query."""
        half = self._stream.up_bytes_s / 2
        while self._shared and count and self.missing and self.now_s < self.leaves_s:
            each = min(count, self.missing, half * (self.leaves_s - self.now_s))
            count -= each
            self._upload(each / half, half)
            self.now_s += each / half
        self.wait(count / self._stream.up_bytes_s)

    def _upload(self, seconds: float, bytes_s: float) -> None:
        if not self.missing:
            return
        before = self._stream.size_bytes - self.missing
        self.missing = after(self.missing, bytes_s * seconds)
        present = self._stream.size_bytes - self.missing
        while self._next < len(self._ends_bytes) and self._ends_bytes[self._next] <= present:
            end_bytes = self._ends_bytes[self._next]
            self.stored.append(Stored(self.now_s + (end_bytes - before) / bytes_s, end_bytes))
            self._next += 1
