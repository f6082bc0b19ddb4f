"""A client's time at one server in closed form: its upload and its queries.

`attachment.py` goes from event to event, whatever layers a server has. Here they are a prefix of
the upload (`stream.py`), and while no further group of layers is complete, queries follow each
other at equal distances, so that they are counted by a division. Both give the same answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from math import ceil, floor, inf
from typing import NamedTuple

from testbed.dnn.crossings import local_rest
from testbed.simulation.attachment import Sharing
from testbed.simulation.growth import Stored
from testbed.simulation.offloading import Step
from testbed.simulation.stream import Stream
from testbed.simulation.uplink import Uplink, after


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
        growth: of what the server has, uploaded or received; known until then.

    Args:
        stream: the client's model.
        attached_s: when it attaches.
        present_bytes: how much of the stream the server has then.
        raise_s: when it raises its next query, not before.
        gap_s: from an answer to the next query.
        sharing: of the uplink between upload and queries (`attachment.Sharing`).
        uplink: as the query leaves it that was raised at the server before, where one was.
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
        uplink: Uplink | None = None,
    ) -> None:
        self._stream = stream
        self._gap_s = gap_s
        self._shared = sharing == "shared"
        self.queries: list[Queries] = []
        self.raise_s = raise_s
        # The last query, or before the first one the attachment; what was missing at it
        self._last_s, self._last_missing = attached_s, after(stream.size_bytes, present_bytes)
        uplink = uplink or self._uplink()
        uplink.wait(raise_s - uplink.now_s)
        self.growth, self._missing = uplink.growth, uplink.missing  # at `raise_s`
        self._received: deque[Stored] = deque()  # from elsewhere, later than that

    @property
    def complete(self) -> bool:
        """Whether the server lacks nothing when the next query is raised."""
        return not self._missing

    @property
    def finished_s(self) -> float:
        """When the server had everything; infinity as long as that is not known."""
        return self.growth.since_s(self._stream.size_bytes)

    def advance(self, until_s: float) -> int:
        """Raise the queries before a time, if the client stays so long; return how many."""
        raised = 0
        while self.raise_s < until_s:
            next_s = self._received[0].time_s if self._received else inf
            self.queries.append(self._raise(min(until_s, next_s)))
            raised += self.queries[-1].number
            self._take_in()
        return raised

    def receive(self, arrivals: Iterable[Stored]) -> None:
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

    def take_earlier(self) -> list[Queries]:
        """Return its queries but for the last ones, and forget them."""
        earlier = self.queries[:-1]
        del self.queries[:-1]
        return earlier

    def present_bytes(self, time_s: float) -> float:
        """Return how much the server has at a time, up to which it has been advanced."""
        return self.growth.at(time_s)

    def leave(self, time_s: float, missing_there: float = 0.0) -> Uplink | None:
        """The client leaves, after it has been advanced so far: its last query may take longer.

        What the server has not begun of a query by then, the client executes itself.

        Args:
            time_s: when.
            missing_there: what the next server lacks: it is uploaded from then on.

        Returns:
            the uplink when the query is answered, where one was under way.
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
            self.queries[-1:] = self.queries[-1].but_the_last()

    def _raise(self, until_s: float) -> Queries:
        """Raise the next query and those after it that are like it, at most those before a time."""
        stream, first_s, missing = self._stream, self.raise_s, self._missing
        level = stream.level(stream.size_bytes - missing) if missing else stream.levels - 1
        steps, up_bytes, latency_s = stream.execution(level)
        progress = 0.0
        if missing and self._shared:  # a query's tensors and the upload take half the uplink each
            latency_s += up_bytes / stream.up_bytes_s
            progress = -float(up_bytes)
        period_s = latency_s + self._gap_s
        progress += stream.up_bytes_s * period_s
        number = ceil((until_s - first_s) / period_s)
        if missing:
            next_missing = stream.size_bytes - stream.starts_bytes[level + 1]
            number = min(number, ceil((missing - next_missing) / progress))
            if self._shared:  # all are answered before the upload is over, or it is a single one
                number = max(1, min(number, floor(missing / progress)))
        self._last_s = first_s + (number - 1) * period_s
        self._last_missing = missing - (number - 1) * progress if missing else 0.0
        if missing and self._shared:
            uplink = self._uplink()
            self._take(steps, uplink)
            latency_s = uplink.now_s - self._last_s
            uplink.wait(self._gap_s)
            period_s = latency_s + self._gap_s
            self.growth.extend(uplink.growth)
            self._missing = uplink.missing
        elif missing:
            self._missing = after(self._last_missing, progress)
            sent = self._last_missing - self._missing
            self.growth.to(
                self._last_s + sent / stream.up_bytes_s, stream.size_bytes - self._missing
            )
        self.raise_s = self._last_s + period_s
        return Queries(first_s, number, period_s, latency_s, steps, bool(missing))

    def _uplink(self, leaves_s: float = inf, missing_there: float = 0.0) -> Uplink:
        """Return the uplink when the last query is raised."""
        return Uplink(
            self._stream,
            shared=self._shared,
            now_s=self._last_s,
            missing=self._last_missing,
            leaves_s=leaves_s,
            missing_there=missing_there,
        )

    def _take(self, steps: Sequence[Step], uplink: Uplink) -> tuple[Step, ...]:
        """Take a query's steps, what is left for the server at the client once it has left it."""
        ahead, taken, held = deque(steps), list[Step](), set[int]()
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
