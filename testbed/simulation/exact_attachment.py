"""One client at one server in virtual time: its upload and its queries on one link, exactly.

Rates stay what they are from one event to the next (a tensor or a layer is through, a computation
is over, a query is raised, a layer arrives from elsewhere, the client leaves), so the next event is
computed and time is never stepped through. Bytes flow as a fluid: no packets, headers or queues.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Literal, NamedTuple

from testbed.dnn.graph import LayerGraph
from testbed.dnn.partitioning.crossings import local_rest
from testbed.simulation.offloading import Offloading, TimedSegment

#: How the upload and a query's tensors use the uplink when both are there. `separate`: each as if
#: it were alone. `shared`: half of it each, and what one does not use the other has, as the
#: emulator's two classes (`emulation/network/shaping.py`).
Sharing = Literal["separate", "shared"]


@dataclass(frozen=True, kw_only=True)
class SimulatedAttachment:
    """A client's time at one server, in seconds since it attached."""

    duration_s: float  # when it leaves; a query in flight then is answered all the same
    # The layers with weights that the server shall have, in the order of upload; the layers of a
    # group are of use once all of them are there
    upload: Sequence[Sequence[int]]
    # Layer -> how many leading bytes of its weights the server has at first
    present_bytes: Mapping[int, float] = field(default_factory=dict)
    arrivals: Sequence[tuple[float, int]] = ()  # (time, layer) of what comes whole from elsewhere
    sharing: Sharing = "separate"  # of the uplink
    gap_s: float = 0.5  # from an answer to the next query
    first_query_s: float = 0.0  # when the first query is raised


@dataclass(frozen=True)
class AnsweredQuery:
    """A query, by the columns of `queries.parquet`."""

    raised_s: float
    answered_s: float
    layers_server: int
    bytes_up: int
    bytes_down: int
    cold_start: bool  # raised while the server lacked a layer of the plan

    @property
    def latency_s(self) -> float:
        """Seconds from the query to its answer."""
        return self.answered_s - self.raised_s


@dataclass(frozen=True)
class AttachmentResult:
    """What came of an attachment.

    `stored_s` tells when each layer of `upload` was at the server, by any way; `present_bytes` how
    much of each is there at the end; `sent_bytes` what the client has uploaded.
    """

    answers: tuple[AnsweredQuery, ...]
    stored_s: dict[int, float]
    present_bytes: dict[int, float]
    sent_bytes: float

    @property
    def finished_s(self) -> float:
        """When the server had all layers; infinity if it never had."""
        complete = len(self.stored_s) == len(self.present_bytes)
        return max(self.stored_s.values(), default=0.0) if complete else inf


def raised_before(answers: Sequence[AnsweredQuery], time_s: float) -> int:
    """Return how many queries were raised before a time."""
    return sum(answer.raised_s < time_s for answer in answers)


def answered_by(answers: Sequence[AnsweredQuery], time_s: float) -> int:
    """Return how many queries were answered by a time."""
    return sum(answer.answered_s <= time_s for answer in answers)


def simulate(offloading: Offloading, attachment: SimulatedAttachment) -> AttachmentResult:
    """Let a client attach to a server, upload and raise queries until it leaves."""
    return _Simulation(offloading, attachment).run()


class _Sending(NamedTuple):
    """The client waits until bytes of tensors are through the uplink."""

    left_bytes: float


class _Until(NamedTuple):
    """The client waits for a moment."""

    time_s: float


_Waiting = _Sending | _Until


class _Simulation:
    def __init__(self, offloading: Offloading, attachment: SimulatedAttachment) -> None:
        self._offloading = offloading
        self._settings = attachment
        self._now_s = 0.0
        self._upload = _Upload(offloading.graph, attachment)
        self._answers: list[AnsweredQuery] = []

    def run(self) -> AttachmentResult:
        """Go from event to event until the client has left and has its last answer."""
        upload, leaves_s = self._upload, self._settings.duration_s
        arrivals = deque(sorted(self._settings.arrivals))
        client = self._raise_queries()
        waiting: _Waiting = next(client)
        while True:
            here, sending = self._now_s < leaves_s, isinstance(waiting, _Sending)
            query_bps, upload_bps = self._rates_bps(sending, here and upload.going)
            stored_s = self._through_s(upload.left_bytes, upload_bps)
            arrives_s = arrivals[0][0] if arrivals and here else inf
            if isinstance(waiting, _Sending):
                due_s = self._through_s(waiting.left_bytes, query_bps)
            else:
                due_s = waiting.time_s
            next_s = min(stored_s, arrives_s, due_s, leaves_s if here else inf)
            if next_s == inf:
                break
            elapsed_s, self._now_s = next_s - self._now_s, next_s
            upload.flow(upload_bps * elapsed_s / 8)
            if isinstance(waiting, _Sending):
                waiting = _Sending(waiting.left_bytes - query_bps * elapsed_s / 8)
            # What is stored at a moment is there for the query that is raised at it
            if next_s == stored_s:
                upload.complete_layer(next_s)
            elif next_s == arrives_s:
                upload.store(arrivals.popleft()[1], next_s)
            elif next_s == due_s:
                waiting = next(client, _Until(inf))
        return AttachmentResult(
            tuple(self._answers), upload.stored_s, upload.present_bytes, upload.sent_bytes
        )

    def _rates_bps(self, sending: bool, uploading: bool) -> tuple[float, float]:
        """Return what a query's tensors and the upload have of the uplink."""
        rate_bps = self._offloading.costs.up_bps
        if self._settings.sharing == "shared" and sending and uploading:
            rate_bps /= 2
        return rate_bps * sending, rate_bps * uploading

    def _through_s(self, left_bytes: float, rate_bps: float) -> float:
        return self._now_s + 8 * max(0.0, left_bytes) / rate_bps if rate_bps else inf

    def _raise_queries(self) -> Iterator[_Waiting]:
        """The client: yields what it waits for, and goes on when that has come."""
        yield _Until(self._settings.first_query_s)
        while self._now_s < self._settings.duration_s:
            raised_s, cold_start = self._now_s, self._upload.going
            taken = yield from self._execute(self._offloading.steps(self._upload.usable))
            self._answers.append(
                AnsweredQuery(
                    raised_s=raised_s,
                    answered_s=self._now_s,
                    layers_server=sum(len(step.layers) for step in taken if step.on_server),
                    bytes_up=sum(step.up_bytes for step in taken),
                    bytes_down=sum(step.down_bytes for step in taken),
                    cold_start=cold_start,
                )
            )
            yield _Until(self._now_s + self._settings.gap_s)

    def _execute(
        self, steps: Sequence[TimedSegment]
    ) -> Generator[_Waiting, None, list[TimedSegment]]:
        """Take a query's steps, what is left for the server at the client once it has left it."""
        ahead, taken, held = deque(steps), list[TimedSegment](), set[int]()
        while ahead:
            step = ahead.popleft()
            if step.on_server and self._now_s >= self._settings.duration_s:
                rest = local_rest(self._offloading.graph, held)
                ahead = deque(self._offloading.steps_of(rest))
                continue
            if step.up_bytes:
                yield _Sending(step.up_bytes)
            down_s = 8 * step.down_bytes / self._offloading.costs.down_bps
            yield _Until(self._now_s + step.execution_s + down_s)
            held.update(step.returned if step.on_server else step.layers)
            taken.append(step)
        return taken


class _Upload:
    """What the server has of the layers that it shall have, and what is sent next."""

    def __init__(self, graph: LayerGraph, settings: SimulatedAttachment) -> None:
        self._size_bytes = graph.weight_bytes.tolist()
        self._group_of = {layer: frozenset(group) for group in settings.upload for layer in group}
        self._ahead = deque(self._group_of)
        self.present_bytes = dict.fromkeys(self._group_of, 0.0)
        self.usable = frozenset[int]()
        self.stored_s: dict[int, float] = {}
        self.sent_bytes = 0.0
        for layer, count in settings.present_bytes.items():
            if count >= self._size_bytes[layer]:
                self.store(layer, 0.0)
            elif layer in self.present_bytes:
                self.present_bytes[layer] = count

    @property
    def going(self) -> bool:
        """Whether a layer is missing."""
        return bool(self._ahead)

    @property
    def left_bytes(self) -> float:
        """What is missing of the layer that is being sent."""
        if not self._ahead:
            return 0.0
        return self._size_bytes[self._ahead[0]] - self.present_bytes[self._ahead[0]]

    def flow(self, count: float) -> None:
        """Bytes of the layer being sent have come."""
        if count:
            self.present_bytes[self._ahead[0]] += count
            self.sent_bytes += count

    def complete_layer(self, now_s: float) -> None:
        """The layer being sent is there: what rounding left of it is nothing."""
        self.store(self._ahead[0], now_s)

    def store(self, layer: int, now_s: float) -> None:
        """A layer is at the server, in whatever way it came."""
        group = self._group_of.get(layer, frozenset((layer,)))
        if layer in self.present_bytes:
            self.present_bytes[layer] = self._size_bytes[layer]
            self.stored_s.setdefault(layer, now_s)
            while self._ahead and self._ahead[0] in self.stored_s:
                self._ahead.popleft()
        if group <= self.stored_s.keys() or layer not in self.present_bytes:
            self.usable |= group
