"""A client's time at one server in closed form: its upload and its queries.

`exact_attachment` goes from event to event, whatever layers a server has. Here they are a prefix of
the upload (`layer_stream`), and while no further group of layers is complete, queries follow each
other at equal distances, so that they are counted by a division. Both give the same answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from math import ceil, floor, inf
from typing import NamedTuple

from testbed.dnn.partitioning.crossings import local_rest
from testbed.simulation.exact_attachment import Sharing
from testbed.simulation.fluid.growth import Arrival, Growth
from testbed.simulation.fluid.layer_stream import Execution, LayerStream
from testbed.simulation.fluid.uplink import Uplink, after
from testbed.simulation.offloading import TimedSegment


class Queries(NamedTuple):
    """Queries at equal distances that execute in the same way."""

    first_s: float  # when the first one is raised
    number: int  # how many they are
    period_s: float  # from one to the next
    latency_s: float  # of each
    steps: tuple[TimedSegment, ...]  # that each takes
    cold_start: bool  # they are raised while the server lacks a layer of the plan

    def but_the_last(self) -> list[Queries]:
        """Return these without the last one; nothing where there is no other."""
        return [self._replace(number=self.number - 1)] if self.number > 1 else []


class Session:
    """A client attached to one server, from the moment it attaches until it leaves.

    The server has `present_bytes` of the stream then. The next query is raised at `raise_s`, not
    before, and each later one `gap_s` after an answer; `uplink` is as the query leaves it that was
    raised at the server before, where one was. `uploads` says whether the client sends what is
    missing, `keeps` whether all queries are kept.
    """

    def __init__(
        self,
        stream: LayerStream,
        *,
        attached_s: float = 0.0,
        present_bytes: float = 0.0,
        raise_s: float = 0.0,
        gap_s: float = 0.5,
        sharing: Sharing = "separate",
        uplink: Uplink | None = None,
        uploads: bool = True,
        keeps: bool = True,
    ) -> None:
        self._stream = stream
        self._uploads = uploads
        self._gap_s = gap_s
        self._shared = sharing == "shared"
        self._keeps = keeps
        self.queries: list[Queries] = []  # so far; where they are not kept, the last ones
        self.raised = self.cold_starts = 0  # all, and those while the server lacks a layer
        self.raise_s = raise_s  # when the next one is
        # The last query, or before the first one the attachment; what was missing at it
        self._last_s, self._last_missing = attached_s, after(stream.size_bytes, present_bytes)
        # At `raise_s`, up to which it is known what the server has, uploaded or received:
        self._missing = self._last_missing
        self.growth = Growth(attached_s, stream.size_bytes - self._missing)
        if uplink is not None or self._missing:
            uplink = uplink or self._uplink()
            uplink.wait(raise_s - uplink.now_s)
            self.growth, self._missing = uplink.growth, uplink.missing
        self._received: deque[Arrival] = deque()  # from elsewhere, later than that

    @property
    def finished_s(self) -> float:
        """When the server had everything; infinity as long as that is not known."""
        return self.growth.since_s(self._stream.size_bytes)

    def advance(self, until_s: float) -> int:
        """Raise the queries before a time, if the client stays so long; return how many."""
        before = self.raised
        while self.raise_s < until_s:
            if self._received:
                self._raise(min(until_s, self._received[0].time_s))
                self._take_in()
            else:
                self._raise(until_s)
        return self.raised - before

    def receive(self, arrivals: Iterable[Arrival]) -> None:
        """Layers reach the server from elsewhere, after the queries that were raised so far.

        The upload goes on behind them. A query that is under way then executes as it began.
        """
        self._received.extend(arrivals)
        self._take_in()

    def _take_in(self) -> None:
        """Let what is received until the next query is raised be there."""
        size_bytes = self._stream.size_bytes
        while self._received and self._received[0].time_s <= self.raise_s:
            self.growth.leap(*self._received.popleft(), size_bytes)
            self._missing = after(size_bytes, self.growth.now_bytes)

    def present_bytes(self, time_s: float) -> float:
        """Return how much the server has at a time, up to which it has been advanced."""
        return self.growth.at(time_s)

    def leave(self, time_s: float, missing_there: float = 0.0) -> Uplink | None:
        """The client leaves, after it has been advanced so far: its last query may take longer.

        What the server has not begun of a query by then, the client executes itself. What the next
        server lacks, `missing_there`, is uploaded from then on. Returns the uplink when the query
        is answered, where one was under way.
        """
        self.growth.cut(time_s)
        if not self.queries:
            return None
        last = self.queries[-1]
        if self._last_s + last.latency_s <= time_s:
            return None
        uplink = self._uplink(time_s, missing_there)
        taken = self._take(last.steps, uplink)
        self.queries[-1:] = [
            *last.but_the_last(),
            last._replace(
                first_s=self._last_s, number=1, latency_s=uplink.now_s - self._last_s, steps=taken
            ),
        ]
        self.raise_s = uplink.now_s + self._gap_s
        return uplink

    def give_up(self, time_s: float) -> None:
        """All is over at a time, up to which it has been advanced: an open query is not counted."""
        if self.queries and self._last_s + self.queries[-1].latency_s > time_s:
            self.raised -= 1
            self.cold_starts -= self.queries[-1].cold_start
            self.queries[-1:] = self.queries[-1].but_the_last()

    def _raise(self, until_s: float) -> None:
        """Raise queries before a time: those that are like the next one, or more.

        Only the last of them may be under way at that time.
        """
        if not self._keeps:
            self.queries.clear()
        if not (self._missing and self._uploads):
            self._raise_alike(until_s)
        elif self._shared:
            self._raise_beside(until_s)
        else:
            self._raise_apart(until_s)

    def _raise_alike(self, until_s: float) -> None:
        """Raise the queries before a time: the server has everything, or nothing is uploaded."""
        missing, cold = self._missing, self._missing > 0
        steps, _, latency_s, _ = self._stream.execution(self._stream.size_bytes - missing)
        period_s = latency_s + self._gap_s
        number = ceil((until_s - self.raise_s) / period_s)
        self.queries.append(Queries(self.raise_s, number, period_s, latency_s, steps, cold))
        self.raised += number
        self.cold_starts += number * cold
        self._last_s, self._last_missing = self.raise_s + (number - 1) * period_s, missing
        self.raise_s = self._last_s + period_s

    def _raise_apart(self, until_s: float) -> None:
        """Raise the queries before a time, or until the server has everything.

        Queries and the upload both have the whole uplink.
        """
        stream, gap_s, bytes_s = self._stream, self._gap_s, self._stream.up_bytes_s
        size_bytes, next_s, left, raised = stream.size_bytes, self.raise_s, self._missing, 0
        while left and next_s < until_s:
            first_s, missing = next_s, left
            execution = stream.execution(size_bytes - missing)
            period_s = execution.latency_s + gap_s
            sent = bytes_s * period_s
            number = ceil((until_s - first_s) / period_s)
            alike = ceil((missing - size_bytes + execution.until_bytes) / sent)
            number = min(number, alike)
            if self._keeps:
                self.queries.append(_cold_start(first_s, number, period_s, execution))
            raised += number
            last_s, last_missing = first_s + (number - 1) * period_s, missing - (number - 1) * sent
            next_s, left = last_s + period_s, after(last_missing, sent)
        if not self._keeps:
            self.queries.append(_cold_start(first_s, number, period_s, execution))
        self.raised += raised
        self.cold_starts += raised
        self._last_s, self._last_missing = last_s, last_missing
        self.raise_s, self._missing = next_s, left
        self.growth.to(last_s + (last_missing - left) / bytes_s, size_bytes - left)

    def _raise_beside(self, until_s: float) -> None:
        """Raise the queries before a time that are like the next one, or that one alone.

        While a query's tensors are on the uplink, they and the upload take half of it each.
        """
        stream, first_s, missing = self._stream, self.raise_s, self._missing
        execution = stream.execution(stream.size_bytes - missing)
        period_s = execution.latency_s + execution.up_bytes / stream.up_bytes_s + self._gap_s
        sent = stream.up_bytes_s * period_s - execution.up_bytes
        number = ceil((until_s - first_s) / period_s)
        number = min(number, ceil((missing - stream.size_bytes + execution.until_bytes) / sent))
        number = max(1, min(number, floor(missing / sent)))  # all are answered before its end
        self._last_s = first_s + (number - 1) * period_s
        self._last_missing = missing - (number - 1) * sent
        uplink = self._uplink()
        self._take(execution.steps, uplink)
        latency_s = uplink.now_s - self._last_s
        uplink.wait(self._gap_s)
        self.growth.extend(uplink.growth)
        self._missing, self.raise_s = uplink.missing, uplink.now_s
        period_s = latency_s + self._gap_s
        self.queries.append(Queries(first_s, number, period_s, latency_s, execution.steps, True))
        self.raised += number
        self.cold_starts += number

    def _uplink(self, leaves_s: float = inf, missing_there: float = 0.0) -> Uplink:
        """Return the uplink when the last query is raised."""
        return Uplink(
            self._stream,
            shared=self._shared,
            now_s=self._last_s,
            missing=self._last_missing,
            leaves_s=leaves_s,
            missing_there=missing_there,
            uploads=self._uploads,
        )

    def _take(self, steps: Sequence[TimedSegment], uplink: Uplink) -> tuple[TimedSegment, ...]:
        """Take a query's steps, what is left for the server at the client once it has left it."""
        ahead, taken, held = deque(steps), list[TimedSegment](), set[int]()
        while ahead:
            step = ahead.popleft()
            if step.on_server and uplink.left:
                offloading = self._stream.offloading
                ahead = deque(offloading.steps_of(local_rest(offloading.graph, held)))
                continue
            uplink.send(step.up_bytes)
            uplink.wait(step.execution_s + step.down_bytes / self._stream.down_bytes_s)
            held.update(step.returned if step.on_server else step.layers)
            taken.append(step)
        return tuple(taken)


def _cold_start(first_s: float, number: int, period_s: float, execution: Execution) -> Queries:
    return Queries(first_s, number, period_s, execution.latency_s, execution.steps, True)
