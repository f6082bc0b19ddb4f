"""A client's uplink, where its upload and its queries meet."""

from __future__ import annotations

from math import inf

from testbed.simulation.fluid.growth import Growth
from testbed.simulation.fluid.layer_stream import LayerStream

_NOTHING = 1e-6  # bytes that rounding leaves


def after(missing: float, sent: float) -> float:
    """Return what is missing of an upload after bytes of it have been sent."""
    left = missing - sent
    return left if left > _NOTHING else 0.0


class Uplink:
    """The uplink from a moment on: what is missing of the upload, beside queries.

    Upload and queries have half of the rate each while both are there, if `shared`. The client
    leaves at `leaves_s`, and uploads to another server, what is `missing_there` then. `now_s` and
    `missing` go on with time. Where it never `uploads`, what is missing stays missing.
    """

    def __init__(
        self,
        stream: LayerStream,
        *,
        shared: bool,
        now_s: float,
        missing: float,
        leaves_s: float = inf,
        missing_there: float = 0.0,
        uploads: bool = True,
    ) -> None:
        self.now_s = now_s
        self.missing = missing
        self.leaves_s = leaves_s
        self._stream = stream
        self._shared = shared and uploads
        self._uploads = uploads
        self._missing_there = missing_there
        # Of what the server has from then on, or the other one since the client left
        self.growth = Growth(now_s, stream.size_bytes - missing)

    @property
    def left(self) -> bool:
        """Whether the client has gone to another server."""
        return self.now_s >= self.leaves_s

    def wait(self, seconds: float) -> None:
        """The client sends nothing for a query."""
        self._go_on(seconds, self._stream.up_bytes_s)

    def send(self, count: float) -> None:
        """The client sends bytes of a query."""
        while count > 0:
            both = self._shared and self.missing > 0
            bytes_s = self._stream.up_bytes_s / 2 if both else self._stream.up_bytes_s
            sends = min(count, self.missing) if both else count
            seconds = min(sends / bytes_s, inf if self.left else self.leaves_s - self.now_s)
            count = count - sends if seconds == sends / bytes_s else count - seconds * bytes_s
            self._go_on(seconds, bytes_s)

    def _go_on(self, seconds: float, bytes_s: float) -> None:
        """Let time pass; `bytes_s` is the upload's part of the rate."""
        if not self.left and seconds >= self.leaves_s - self.now_s:
            seconds -= self.leaves_s - self.now_s
            self._upload(self.leaves_s - self.now_s, bytes_s)
            self.now_s, self.missing = self.leaves_s, self._missing_there
            self.growth = Growth(self.now_s, self._stream.size_bytes - self.missing)
        self._upload(seconds, bytes_s)

    def _upload(self, seconds: float, bytes_s: float) -> None:
        # By a span, and not by its end: it may be too short to tell one moment from the next
        if self._uploads and self.missing and seconds > 0:
            done_s = self.now_s + min(seconds, self.missing / bytes_s)
            self.missing = after(self.missing, bytes_s * seconds)
            self.growth.to(done_s, self._stream.size_bytes - self.missing)
        self.now_s += max(0.0, seconds)
