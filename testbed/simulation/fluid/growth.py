"""How much of a client's stream a server has, as it grows in time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from testbed.simulation.fluid.layer_stream import LayerStream


class Arrival(NamedTuple):
    """So much of the stream is at the server since then: up to a layer's end, or within one."""

    time_s: float
    end_bytes: float


class Growth:
    """What is present, by time: it grows evenly between the points at which its rate changes."""

    __slots__ = ("_bytes", "_times_s", "leapt_bytes")

    def __init__(self, time_s: float, present_bytes: float) -> None:
        self._times_s = [time_s]
        self._bytes = [present_bytes]
        self.leapt_bytes = 0.0  # what came at once, all together

    @property
    def now_bytes(self) -> float:
        """What is present at the end, as far as it is known."""
        return self._bytes[-1]

    def to(self, time_s: float, present_bytes: float) -> None:
        """So much is present at a time, not before the last one."""
        self._times_s.append(time_s)
        self._bytes.append(present_bytes)

    def extend(self, later: Growth) -> None:
        """Go on as another does that begins where this one ends."""
        self._times_s += later._times_s
        self._bytes += later._bytes

    def cut(self, time_s: float) -> None:
        """Nothing comes after a time, not before the beginning."""
        present_bytes = self.at(time_s)
        after = bisect_right(self._times_s, time_s)
        del self._times_s[after:], self._bytes[after:]
        self.to(time_s, present_bytes)

    def leap(self, time_s: float, present_bytes: float, most_bytes: float) -> None:
        """So much comes at once from elsewhere; what grew from then on comes on top of it.

        All together it is `most_bytes` at most.
        """
        before = self.at(time_s)
        gained = present_bytes - before
        if gained <= 0:
            return
        self.leapt_bytes += gained
        after = bisect_right(self._times_s, time_s)
        self._bytes[after:] = [min(each + gained, most_bytes) for each in self._bytes[after:]]
        self._times_s[after:after] = [time_s, time_s]
        self._bytes[after:after] = [before, present_bytes]

    def at(self, time_s: float) -> float:
        """Return what is present at a time; before the beginning what was there then."""
        after = bisect_right(self._times_s, time_s)
        if after == len(self._times_s):
            return self._bytes[-1]
        if not after:
            return self._bytes[0]
        begin_s, begin = self._times_s[after - 1], self._bytes[after - 1]
        share = (time_s - begin_s) / (self._times_s[after] - begin_s)
        return begin + share * (self._bytes[after] - begin)

    def since_s(self, present_bytes: float) -> float:
        """Return since when so much is present; infinity where that is not known."""
        after = bisect_left(self._bytes, present_bytes)
        if after == len(self._bytes):
            return inf
        if not after:
            return self._times_s[0]
        begin_s, begin = self._times_s[after - 1], self._bytes[after - 1]
        share = (present_bytes - begin) / (self._bytes[after] - begin)
        return begin_s + share * (self._times_s[after] - begin_s)

    def whole_layers(self, layer_ends_bytes: Sequence[int], to_s: float) -> list[Arrival]:
        """Return the layers that become whole until a time, after the beginning."""
        first = bisect_right(layer_ends_bytes, self._bytes[0])
        last = bisect_right(layer_ends_bytes, self.at(to_s))
        return [Arrival(self.since_s(end), end) for end in layer_ends_bytes[first:last]]


class Supply:
    """What a server can send on in an interval: layers that it has whole, or gets whole."""

    def __init__(self, stream: LayerStream, growth: Growth, from_s: float, to_s: float) -> None:
        self._stream = stream
        self._growth = growth
        self._from_s = from_s
        self._to_s = to_s
        self.size_bytes = stream.whole_bytes(growth.at(to_s))

    def steps(self) -> list[tuple[float, float]]:
        """Return the bytes at first, and as they grow: from when on so many are there."""
        at_first = self._stream.whole_bytes(self._growth.at(self._from_s))
        later = self._growth.whole_layers(self._stream.layer_ends_bytes, self._to_s)
        return [(self._from_s, at_first), *(each for each in later if each.end_bytes > at_first)]

    def since_s(self, count: float) -> float:
        """Return since when so many bytes are in whole layers; the interval's start at least."""
        end_bytes = self._stream.end_of_layer(count)
        return max(self._from_s, self._growth.since_s(end_bytes))
