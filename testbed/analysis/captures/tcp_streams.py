"""Which bytes of a TCP stream were captured before: what is repeated, and what never came.

Each stream is one direction of one connection. Sequence numbers are followed around their 32-bit
circle (RFC 9293), and the stretches that were passed over are remembered, so that a segment which
fills one is not taken for a repetition.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from testbed.arrays import BoolArray, IntArray

_CIRCLE = 1 << 32
_FAR = 1 << 42  # bytes; further than a stream's positions can be apart


@dataclass(frozen=True)
class Segments:
    """Captured TCP segments as columns of shape (n,), sorted by stream, then by time."""

    stream: IntArray
    sequence: IntArray  # of the first payload byte, or of the SYN
    payload_bytes: IntArray
    syn: BoolArray
    ends: BoolArray  # a FIN: the stream has no bytes behind it


class Streams:
    """What has been seen of each stream, across batches; streams are numbered from 0."""

    def __init__(self) -> None:
        self._last = np.zeros(0, np.int64)  # sequence number of the latest segment; -1 before any
        self._position = np.zeros(0, np.int64)  # the same from the first segment on, not wrapping
        self._highest = np.zeros(0, np.int64)  # position behind all that was seen
        self._holes: dict[int, list[tuple[int, int]]] = {}  # in order, apart from each other

    def repeated_bytes(self, segments: Segments) -> IntArray:
        """Return how many bytes of each segment's payload had been captured before: (n,)."""
        repeated = np.zeros(len(segments.stream), np.int64)
        if not len(repeated):
            return repeated
        self._grow(int(segments.stream.max()) + 1)
        first = np.flatnonzero(np.diff(segments.stream, prepend=-1))
        length = np.diff(np.append(first, len(repeated)))
        position = self._positions(segments, first, length)
        matters = (segments.payload_bytes > 0) | segments.ends
        # A bare acknowledgement has the number of what is sent next, and may be captured before it.
        end = np.where(matters, position + segments.payload_bytes, -_FAR)
        before = self._highest_before(segments.stream[first], end, first, length)
        columns = (segments.stream, position, end, before)
        for row in np.flatnonzero((position != before) & matters).tolist():
            repeated[row] = self._place(*(int(column[row]) for column in columns))
        last = first + length - 1
        streams = segments.stream[first]
        self._last[streams] = _data_sequence(segments)[last]
        self._position[streams] = position[last]
        self._highest[streams] = np.maximum(before[last], end[last])
        return repeated

    def missing_bytes(self, streams: int) -> IntArray:
        """Return how many bytes of each stream were passed over, never captured: (streams,)."""
        missing = np.zeros(streams, np.int64)
        for stream, holes in self._holes.items():
            missing[stream] = sum(high - low for low, high in holes if low > -_FAR)
        return missing

    def _grow(self, streams: int) -> None:
        new = streams - len(self._last)
        if new > 0:
            new = max(new, len(self._last))  # doubling
            self._last = np.append(self._last, np.full(new, -1))
            self._position = np.append(self._position, np.zeros(new, np.int64))
            self._highest = np.append(self._highest, np.zeros(new, np.int64))

    def _positions(self, segments: Segments, first: IntArray, length: IntArray) -> IntArray:
        """Return each segment's place in its stream, 0 at the first segment that was seen."""
        sequence, streams = _data_sequence(segments), segments.stream[first]
        is_new = self._last[streams] < 0
        for stream in streams[is_new & ~segments.syn[first]].tolist():
            self._holes[stream] = [(-_FAR, 0)]  # what came before the capture began
        steps = np.diff(sequence, prepend=0)
        steps[first] = np.where(is_new, 0, sequence[first] - self._last[streams])
        # The shorter way round the circle
        steps = (steps + _CIRCLE // 2) % _CIRCLE - _CIRCLE // 2
        walked = np.cumsum(steps)
        start = self._position[streams] - (walked[first] - steps[first])
        return walked + np.repeat(start, length)

    def _highest_before(
        self, streams: IntArray, end: IntArray, first: IntArray, length: IntArray
    ) -> IntArray:
        """Return how far each segment's stream had come before it."""
        # One running maximum for all: each stream's values lie above those of the one before.
        apart = np.repeat(np.arange(len(first)) * 2 * _FAR, length)
        reached = np.empty_like(end)
        reached[1:] = end[:-1] + apart[:-1]
        reached[first] = self._highest[streams] + apart[first]
        return np.maximum.accumulate(reached) - apart

    def _place(self, stream: int, position: int, end: int, before: int) -> int:
        """Take in a segment that does not begin where its stream had come to; return repeated."""
        holes = self._holes.setdefault(stream, [])
        if position > before:
            holes.append((before, position))
            return 0
        reaches = min(end, before)
        if reaches <= position:
            return 0
        first = last = bisect_right(holes, position, key=itemgetter(1))
        filled, left = 0, []
        while last < len(holes) and holes[last][0] < reaches:
            low, high = holes[last]
            cut_low, cut_high = max(low, position), min(high, reaches)
            filled += cut_high - cut_low
            left += [part for part in ((low, cut_low), (cut_high, high)) if part[0] < part[1]]
            last += 1
        holes[first:last] = left
        return reaches - position - filled


def _data_sequence(segments: Segments) -> IntArray:
    """Return where payload would begin: a SYN takes a number of its own."""
    return segments.sequence + segments.syn
