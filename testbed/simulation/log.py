"""What clients of a run in virtual time did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple, Protocol

from testbed.simulation.fluid.growth import Arrival, Growth, Supply
from testbed.simulation.session import Queries

_NOTHING = 1e-3  # bytes that rounding leaves


@dataclass(slots=True)
class Moved:
    """A handover, or with no server before it the first attachment."""

    step: int  # at which the client moves
    source: int  # number of an access point, as is the destination; -1 for none
    destination: int
    present_bytes: float  # of the stream at the destination then
    hit: bool  # nothing was missing
    chosen: bool  # an offer held layers there, however many had come of it, or it keeps them
    queries: int = 0  # raised in the interval after it


class Routed(NamedTuple):
    """What passed in a step between a client and a server that is not at its access point."""

    step: int = -1
    access_point: int = -1
    server: int = -1
    up_bytes: int = 0  # of queries, as is what comes down
    down_bytes: int = 0
    uploaded_bytes: float = 0.0  # of layers

    def during(self, step: int, access_point: int, server: int, uploaded_bytes: float) -> Routed:
        """Return this, said of a step, of where the client was and of what it uploaded."""
        return Routed(step, access_point, server, self.up_bytes, self.down_bytes, uploaded_bytes)

    def with_queries(self, queries: Queries) -> Routed:
        """Return this and what queries send and get."""
        up_bytes = sum(step.up_bytes for step in queries.steps)
        down_bytes = sum(step.down_bytes for step in queries.steps)
        return self._replace(
            up_bytes=self.up_bytes + queries.number * up_bytes,
            down_bytes=self.down_bytes + queries.number * down_bytes,
        )


class Uploaded(NamedTuple):
    """What a client sent to a server while it was attached there."""

    server: int
    since_s: float
    until_s: float
    from_bytes: float
    to_bytes: float


class AnswerGroup(NamedTuple):
    """Queries of a client at one server."""

    server: int
    queries: Queries


class Orders(Protocol):
    """Whoever gives orders."""

    def end(self, order: Order) -> None:
        """An order has been carried out, as far as it could be."""


class Stock(NamedTuple):
    """What a source has from the interval's start on, and in no layers."""

    size_bytes: float
    from_s: float

    def steps(self) -> list[tuple[float, float]]:
        """Return that all is there at first."""
        return [(self.from_s, self.size_bytes)]

    def since_s(self, count: float) -> float:
        """Return since when so many bytes are there."""
        return self.from_s


@dataclass(slots=True)
class Order:
    """A migration for one interval: a part of the stream goes from one server to another.

    What it brings, `sent_bytes` and the two after it, is said by whoever carries it.
    """

    client: Orders  # whose layers
    source: int  # number of an access point, as is the destination
    destination: int
    step: int
    have_bytes: float  # what the destination has of the stream at first
    want_bytes: float  # what it shall have
    supply: Supply | Stock  # what the source has in whole layers
    most_bytes_s: float = inf  # it is sent at most so fast
    #: It brings an image, and no part of the stream: bytes are the image's, of use once all are.
    image: bool = False
    sent_bytes: float = 0.0  # never less than nothing, nor more than the destination lacks
    until_s: float = inf  # when the last byte arrived, or the interval's end
    progress: Growth | None = None  # of what the destination has

    @property
    def arrived_bytes(self) -> float:
        """What the destination has of the stream when it is carried out, by this way alone."""
        return self.have_bytes if self.progress is None else self.progress.now_bytes

    def arrivals(self, layer_ends_bytes: Sequence[int]) -> list[Arrival]:
        """Return when each layer that came whole was at the destination.

        The last one is what came of the layer after them, where the interval cut that short: it
        is resumed from there.
        """
        if self.image:
            there = self.arrived_bytes >= self.want_bytes - _NOTHING
            return [Arrival(self.until_s, layer_ends_bytes[-1])] if there else []
        assert self.progress is not None
        whole = self.progress.whole_layers(layer_ends_bytes, self.until_s)
        if self.arrived_bytes > max(self.have_bytes, whole[-1].end_bytes if whole else 0.0):
            return [*whole, Arrival(self.until_s, self.arrived_bytes)]
        return whole


@dataclass
class Log:
    """What one client did."""

    details: bool  # whether each offer and query is kept, and not only how many
    handovers: list[Moved] = field(default_factory=list)  # with the first attachment
    # What was migrated: step, source, destination and bytes
    sent: list[tuple[int, int, int, float]] = field(default_factory=list)
    routed: list[Routed] = field(default_factory=list)  # to and from other access points' servers
    uploads: list[Uploaded] = field(default_factory=list)  # in detail, as the next two
    answers: list[AnswerGroup] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    # Step, predicted position, and the access points that were offered layers
    offers: list[tuple[int, Sequence[float], str]] = field(default_factory=list)
    queries: int = 0  # how many were answered
    cold_start_queries: int = 0  # of these
    stored_bytes: float = 0.0  # what servers have in the end
    expired_bytes: float = 0.0  # what they have discarded
    last: AnswerGroup | None = None  # the last query and its like, at servers that were left

    def take_back(self) -> None:
        """The last query has not been answered after all."""
        if self.last is None:
            return
        self.queries -= 1
        self.cold_start_queries -= self.last.queries.cold_start
        if self.details:
            server, queries = self.answers.pop()
            self.answers += [AnswerGroup(server, fewer) for fewer in queries.but_the_last()]
