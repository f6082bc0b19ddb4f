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


class _Walked(NamedTuple):
    """A query, and what was missing of the upload when it was answered or the client had left."""

    answered_s: float
    missing_bytes: float
    steps: tuple[Step, ...]


class Session:
    """A client attached to one server, from the moment it attaches until it leaves.

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
        costs = stream.offloading.costs
        self._stream = stream
        self._gap_s = gap_s
        self._shared = sharing == "shared"
        self._up_bytes_s, self._down_bytes_s = costs.up_bps / 8, costs.down_bps / 8
        self.queries: list[Queries] = []
        self.raise_s = raise_s
        # The last query, or before the first one the attachment; what was missing at it
        self._last_s, self._last_missing = attached_s, max(0.0, stream.size_bytes - present_bytes)
        self._missing = self._uploading(self._last_missing, raise_s - attached_s)  # at `raise_s`

    @property
    def complete(self) -> bool:
        """Whether the server lacks nothing when the next query is raised."""
        return not self._missing

    def advance(self, until_s: float) -> int:
        """Raise the queries before a time, if the client stays so long; return how many."""
        raised = 0
        while self.raise_s < until_s:
            self.queries.append(self._raise(until_s))
            raised += self.queries[-1].number
        return raised

    def present_bytes(self, time_s: float) -> float:
        """Return how much the server has at a time, between the last query and the next."""
        if not self._last_missing:
            return float(self._stream.size_bytes)
        missing = self._last_missing
        if self._shared and self.queries:
            walked = self._walk(self._last_s, missing, self.queries[-1].steps, time_s)
            missing = self._uploading(walked.missing_bytes, time_s - walked.answered_s)
        else:
            missing = self._uploading(missing, time_s - self._last_s)
        return self._stream.size_bytes - missing

    def leave(self, time_s: float) -> None:
        """The client leaves, after it has been advanced so far: its last query may take longer.

        What the server has not begun of a query by then, the client executes itself.
        """
        if not self.queries:
            return
        last = self.queries[-1]
        if self._last_s + last.latency_s <= time_s:
            return
        walked = self._walk(self._last_s, self._last_missing, last.steps, time_s)
        self.queries[-1:] = [
            *([last._replace(number=last.number - 1)] if last.number > 1 else []),
            last._replace(
                first_s=self._last_s,
                number=1,
                latency_s=walked.answered_s - self._last_s,
                steps=walked.steps,
            ),
        ]
        self.raise_s = walked.answered_s + self._gap_s

    def _raise(self, until_s: float) -> Queries:
        """Raise the next query and those after it that are like it, at most those before a time."""
        stream, first_s, missing = self._stream, self.raise_s, self._missing
        level = stream.level(stream.size_bytes - missing) if missing else len(stream.steps) - 1
        latency_s, progress = stream.latency_s[level], 0.0
        if missing and self._shared:  # a query's tensors and the upload take half the uplink each
            latency_s += stream.up_bytes[level] / self._up_bytes_s
            progress = -float(stream.up_bytes[level])
        period_s = latency_s + self._gap_s
        progress += self._up_bytes_s * period_s
        count = ceil((until_s - first_s) / period_s)
        if missing:
            next_missing = stream.size_bytes - stream.starts_bytes[level + 1]
            count = min(count, ceil((missing - next_missing) / progress))
            if self._shared:  # the upload is not over before the last of them has been answered
                count = min(count, floor(missing / progress))
        if count:
            self._last_s = first_s + (count - 1) * period_s
            self._last_missing = max(0.0, missing - (count - 1) * progress) if missing else 0.0
            self._missing = max(0.0, missing - count * progress) if missing else 0.0
        else:
            walked = self._walk(first_s, missing, stream.steps[level], inf)
            count, latency_s = 1, walked.answered_s - first_s
            self._last_s, self._last_missing = first_s, missing
            self._missing = self._uploading(walked.missing_bytes, self._gap_s)
            period_s = latency_s + self._gap_s
        self.raise_s = self._last_s + period_s
        return Queries(first_s, count, period_s, latency_s, stream.steps[level], bool(missing))

    def _uploading(self, missing: float, seconds: float) -> float:
        """Return what is missing after the upload has had the uplink for itself for a time."""
        return max(0.0, missing - self._up_bytes_s * max(0.0, seconds))

    def _walk(
        self, raised_s: float, missing: float, steps: Sequence[Step], leaves_s: float
    ) -> _Walked:
        """Take a query's steps, what is left for the server at the client once it has left it."""
        ahead, taken, held, now_s = deque(steps), list[Step](), set[int](), raised_s
        while ahead:
            step = ahead.popleft()
            if step.on_server and now_s >= leaves_s:
                offloading = self._stream.offloading
                ahead = deque(offloading.steps_of(local_rest(offloading.graph, held)))
                continue
            now_s, missing = self._send(step.up_bytes, now_s, missing, leaves_s)
            took_s = step.execution_s + step.down_bytes / self._down_bytes_s
            missing = self._uploading(missing, min(took_s, leaves_s - now_s))
            now_s += took_s
            held.update(step.returned if step.on_server else step.layers)
            taken.append(step)
        return _Walked(now_s, missing, tuple(taken))

    def _send(
        self, count: float, now_s: float, missing: float, leaves_s: float
    ) -> tuple[float, float]:
        """Send bytes of a query; return when they are through, and what is then missing."""
        while self._shared and count and missing and now_s < leaves_s:
            each = min(count, missing, self._up_bytes_s / 2 * (leaves_s - now_s))
            now_s += 2 * each / self._up_bytes_s
            count, missing = count - each, missing - each
        took_s = count / self._up_bytes_s
        return now_s + took_s, self._uploading(missing, min(took_s, leaves_s - now_s))
