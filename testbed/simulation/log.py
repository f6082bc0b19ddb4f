"""What clients of a run in virtual time did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from testbed.simulation.session import Queries

if TYPE_CHECKING:
    from testbed.simulation.roaming import Roaming


#: What a server has of a stream in whole layers: the bytes, by the time since when.
Supply = Sequence[tuple[float, float]]


class Moved(NamedTuple):
    """A handover, or with no server before it the first attachment.

    Args:
        step: at which the client moves.
        source, destination: numbers of access points; -1 for none.
        present_bytes: of the stream at the destination then.
        hit: nothing was missing.
        queries: raised in the interval after it.
    """

    step: int
    source: int
    destination: int
    present_bytes: float
    hit: bool
    queries: int


class Uploaded(NamedTuple):
    """What a client sent to a server while it was attached there."""

    server: int
    since_s: float
    until_s: float
    from_bytes: float
    to_bytes: float


class Answered(NamedTuple):
    """Queries of a client at one server."""

    server: int
    queries: Queries


@dataclass(slots=True)
class Order:
    """A migration for one interval: a part of the stream goes from one server to another.

    Args:
        client: whose layers.
        source, destination: numbers of access points.
        step: the interval.
        have_bytes: what the destination has of the stream at first.
        want_bytes: what it shall have.
        supply: what the source has in whole layers, by the time since when.
        sent_bytes: what has been sent in the interval; whoever carries it says so.
        until_s: when the last byte arrived, or the interval's end.
    """

    client: Roaming
    source: int
    destination: int
    step: int
    have_bytes: float
    want_bytes: float
    supply: Supply
    sent_bytes: float = 0.0
    until_s: float = inf


@dataclass
class Log:
    """What one client did.

    Args:
        details: whether each offer and query is kept, and not only how many.
        handovers: with the first attachment.
        sent: what was migrated: step, source, destination and bytes.
        uploads, answers, orders: in detail.
        offers: step, predicted position, and the access points that were offered layers.
        queries, cold_start_queries: how many were answered.
        last: the last of them and those like it, at servers that were left.
    """

    details: bool
    handovers: list[Moved] = field(default_factory=list)
    sent: list[tuple[int, int, int, float]] = field(default_factory=list)
    uploads: list[Uploaded] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    offers: list[tuple[int, Sequence[float], str]] = field(default_factory=list)
    queries: int = 0
    cold_start_queries: int = 0
    last: Answered | None = None

    def take_back(self) -> None:
        """The last query has not been answered after all."""
        if self.last is None:
            return
        self.queries -= 1
        self.cold_start_queries -= self.last.queries.cold_start
        if self.details:
            server, queries = self.answers.pop()
            self.answers += [Answered(server, fewer) for fewer in queries.but_the_last()]
