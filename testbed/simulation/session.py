"""A client's time at one server in closed form: its upload and its queries.

`attachment.py` goes from event to event, whatever layers a server has. Here they are a prefix of
the upload (`stream.py`), and while no further group of layers is complete, queries follow each
other at equal distances, so that they are counted by a division. Both give the same answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import ceil, floor, inf
from typing import NamedTuple

from testbed.dnn.crossings import local_rest
from testbed.simulation.attachment import Sharing
from testbed.simulation.offloading import Step
from testbed.simulation.stream import Stream
from testbed.simulation.uplink import Stored, Uplink, after


class Queries(NamedTuple):
    """Queries at equal distances that execute in the same way.

    Args:
        first_s: when the first one is raised.
        number: how many they are.
        period_s: from one to the next.
        latency_s: of each.
        steps: that each takes.
        cold_start: they are raised while the server lacks a layer of the plan.
    """

    first_s: float
    number: int
    period_s: float
    latency_s: float
    steps: tuple[Step, ...]
    cold_start: bool

    def but_the_last(self) -> list[Queries]:
        """Return these without the last one; nothing where there is no other."""
        return [self._replace(number=self.number - 1)] if self.number > 1 else []


class Session:
    """A client attached to one server, from the moment it attaches until it leaves.

    Attributes:
        queries: so far, but for those that were taken.
        raise_s: when the next one is raised.
        stored: layers that became whole meanwhile, as far as it is known.

    Args:
        stream: the client's model.
        attached_s: when it attaches.
        present_bytes: how much of the stream the server has then.
        raise_s: when it raises its next query, not before.
        gap_s: from an answer to the next query.
        sharing: of the uplink between upload and queries (`attachment.Sharing`).
    """

    def __init__(
        self,
        stream: Stream,
        *,
        attached_s: float = 0.0,
        present_bytes: float = 0.0,
        raise_s: float = 0.0,
        gap_s: float = 0.5,
        sharing: Sharing = "separate",
    ) -> None:
        self._stream = stream
        self._gap_s = gap_s
        self._shared = sharing == "shared"
        self.queries: list[Queries] = []
        self.raise_s = raise_s
        # The last query, or before the first one the attachment; what was missing at it
        self._last_s, self._last_missing = attached_s, after(stream.size_bytes, present_bytes)
        self.stored: list[Stored] = []
        waits_s = raise_s - attached_s
        self._missing = self._upload(attached_s, self._last_missing, waits_s)  # at `raise_s`
        self._whole_bytes = stream.whole_bytes(present_bytes)  # when it attached
        self._attached_s = attached_s

    @property
    def complete(self) -> bool:
        """Whether the server lacks nothing when the next query is raised."""
        return not self._missing

    @property
    def finished_s(self) -> float:
        """When the server had everything; infinity as long as that is not known."""
        if not self._stream.size_bytes or self._whole_bytes == self._stream.size_bytes:
            return self._attached_s
        is_whole = self.stored and self.stored[-1].end_bytes == self._stream.size_bytes
        return self.stored[-1].time_s if is_whole else inf

    def supply(self, from_s: float, to_s: float) -> list[tuple[float, int]]:
        """Return the bytes in whole layers at a time, and as they grow until another.

        It has been advanced so far.
        """
        found, whole_bytes = [], self._whole_bytes
        if self.finished_s <= from_s:
            return [(from_s, self._stream.size_bytes)]
        for time_s, end_bytes in self.stored:
            if time_s <= from_s:
                whole_bytes = end_bytes
            elif time_s <= to_s:
                found.append((time_s, end_bytes))
        return [(from_s, whole_bytes), *found]

    def forget_layers(self, until_s: float) -> None:
        """Forget when each layer became whole, once all are: only the last is asked about."""
        if self.finished_s <= until_s:
            del self.stored[:-1]

    def advance(self, until_s: float) -> int:
        """Raise the queries before a time, if the client stays so long; return how many."""
        raised = 0
        while self.raise_s < until_s:
            self.queries.append(self._raise(until_s))
            raised += self.queries[-1].number
        return raised

    def take_earlier(self) -> list[Queries]:
        """Return its queries but for the last ones, and forget them."""
        earlier = self.queries[:-1]
        del self.queries[:-1]
        return earlier

    def present_bytes(self, time_s: float) -> float:
        """Return how much the server has at a time, between the last query and the next."""
        if not self._last_missing:
            return float(self._stream.size_bytes)
        uplink = self._uplink(self._last_s, self._last_missing, time_s)
        if self.queries:
            self._take(self.queries[-1].steps, uplink)
        uplink.wait(max(0.0, time_s - uplink.now_s))
        return self._stream.size_bytes - uplink.missing

    def leave(self, time_s: float) -> None:
        """The client leaves, after it has been advanced so far: its last query may take longer.

        What the server has not begun of a query by then, the client executes itself.
        """
        self.stored = [each for each in self.stored if each.time_s <= time_s]
        if not self.queries:
            return
        last = self.queries[-1]
        if self._last_s + last.latency_s <= time_s:
            return
        uplink = self._uplink(self._last_s, self._last_missing, time_s)
        taken = self._take(last.steps, uplink)
        self.queries[-1:] = [
            *last.but_the_last(),
            last._replace(
                first_s=self._last_s, number=1, latency_s=uplink.now_s - self._last_s, steps=taken
            ),
        ]
        self.raise_s = uplink.now_s + self._gap_s

    def give_up(self, time_s: float) -> None:
        """All is over at a time, up to which it has been advanced: an open query is not counted."""
        if self.queries and self._last_s + self.queries[-1].latency_s > time_s:
            self.queries[-1:] = self.queries[-1].but_the_last()

    def _raise(self, until_s: float) -> Queries:
        """Raise the next query and those after it that are like it, at most those before a time."""
        stream, first_s, missing = self._stream, self.raise_s, self._missing
        level = stream.level(stream.size_bytes - missing) if missing else len(stream.steps) - 1
        latency_s, progress = stream.latency_s[level], 0.0
        if missing and self._shared:  # a query's tensors and the upload take half the uplink each
            latency_s += stream.up_bytes[level] / self._stream.up_bytes_s
            progress = -float(stream.up_bytes[level])
        period_s = latency_s + self._gap_s
        progress += self._stream.up_bytes_s * period_s
        number = ceil((until_s - first_s) / period_s)
        if missing:
            next_missing = stream.size_bytes - stream.starts_bytes[level + 1]
            number = min(number, ceil((missing - next_missing) / progress))
            if self._shared:  # all are answered before the upload is over, or it is a single one
                number = max(1, min(number, floor(missing / progress)))
        self._last_s = first_s + (number - 1) * period_s
        self._last_missing = missing - (number - 1) * progress if missing else 0.0
        if missing and self._shared:
            uplink = self._uplink(self._last_s, self._last_missing)
            self._take(stream.steps[level], uplink)
            latency_s = uplink.now_s - self._last_s
            uplink.wait(self._gap_s)
            self._missing = uplink.missing
            self.stored += uplink.stored
            period_s = latency_s + self._gap_s
        elif missing:
            self._missing = self._upload(self._last_s, self._last_missing, period_s)
        self.raise_s = self._last_s + period_s
        return Queries(first_s, number, period_s, latency_s, stream.steps[level], bool(missing))

    def _upload(self, from_s: float, missing: float, seconds: float) -> float:
        """Upload without queries beside it; return what is missing then."""
        stream = self._stream
        if not missing:
            return 0.0
        present = stream.size_bytes - missing
        left = after(missing, stream.up_bytes_s * seconds)
        whole = stream.whole_layers(stream.size_bytes - left)
        self.stored += [
            Stored(from_s + (end_bytes - present) / stream.up_bytes_s, end_bytes)
            for end_bytes in stream.layer_ends_bytes[stream.whole_layers(present) : whole]
        ]
        return left

    def _uplink(self, now_s: float, missing: float, leaves_s: float = inf) -> Uplink:
        return Uplink(
            self._stream, shared=self._shared, now_s=now_s, missing=missing, leaves_s=leaves_s
        )

    def _take(self, steps: Sequence[Step], uplink: Uplink) -> tuple[Step, ...]:
        """Take a query's steps, what is left for the server at the client once it has left it."""
        ahead, taken, held = deque(steps), list[Step](), set[int]()
        while ahead:
            step = ahead.popleft()
            if step.on_server and uplink.now_s >= uplink.leaves_s:
                offloading = self._stream.offloading
                ahead = deque(offloading.steps_of(local_rest(offloading.graph, held)))
                continue
            uplink.send(step.up_bytes)
            uplink.wait(step.execution_s + step.down_bytes / self._stream.down_bytes_s)
            held.update(step.returned if step.on_server else step.layers)
            taken.append(step)
        return tuple(taken)
