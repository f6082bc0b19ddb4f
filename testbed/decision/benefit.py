"""Beyond the paper: layers go where they are expected to gain most queries for their bytes.

PerDNN sends whole models to every server in a circle. Here each group of layers is weighed for each
server: the probability of a visit within the next interval, times the queries that the group saves
the client in the interval after it (`cold_start`), over the bytes that are not there yet. So the
front layers, which save most, go to many servers, and the bulk to the few that are likely.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, NamedTuple

from msgspec import Meta

from testbed.decision.policy import KEEP_MEANING, Policy, PolicySettings, Situation
from testbed.settings.offloads import Migration
from testbed.settings.section import NotNegative, Positive
from testbed.values import Offer

if TYPE_CHECKING:
    from testbed.dnn.partitioning.cold_start import ColdStart


class Increment(NamedTuple):
    """Groups of layers that a server could get beyond what it has."""

    queries_per_mb: float  # expected to be gained by them
    server: str  # the destination
    layers: int  # how many of the plan's it has then
    starts_bytes: float  # which part of the plan's bytes is to be sent for them
    ends_bytes: float


def increments(
    server: str, probability: float, value: ColdStart, present_bytes: float
) -> Iterator[Increment]:
    """Yield what can be sent to a server, best first: each gains less for its bytes than the last.

    `probability` is of a visit there, `value` the queries in the interval after it, by groups of
    layers; `present_bytes` are there already.
    """
    groups, starts_bytes = value.groups(present_bytes), present_bytes
    while groups < len(value.layers) - 1:
        gained = probability * (value.queries[groups + 1 :] - value.queries[groups])
        queries_per_mb = 1e6 * gained / (value.ends_bytes[groups + 1 :] - starts_bytes)
        best = int(queries_per_mb.argmax())
        groups += best + 1
        ends_bytes = float(value.ends_bytes[groups])
        yield Increment(
            float(queries_per_mb[best]), server, value.layers[groups], starts_bytes, ends_bytes
        )
        starts_bytes = ends_bytes


class Benefit(Policy):
    """The most queries for the bytes, within each server's capacity.

    An increment is sent if it is expected to gain at least `least_benefit` queries a megabyte. What
    leaves or reaches a server in an interval is at most `capacity_bps` of its time; the best
    increments of a client go first, and clients in the order of their reports. Servers that have
    layers keep them as with the policy `visits`.
    """

    class Settings(PolicySettings, frozen=True, kw_only=True):
        """What an increment has to gain, what servers can carry, and what they keep."""

        least_benefit: Annotated[
            NotNegative,
            Meta(
                description="layers are sent where they are expected to gain so many queries a MB"
            ),
        ] = 0.016
        capacity_bps: Annotated[
            Positive, Meta(description="at most so much from and to a server over an interval")
        ] = 100e6
        keep_probability: Annotated[float, Meta(ge=0, le=1, description=KEEP_MEANING)] = 0.005

    predictor = "visits"

    def __init__(self, settings: Migration, own: PolicySettings | None = None) -> None:
        super().__init__(settings, own)
        self._ends_s = 0.0  # of the interval that is being planned
        self._leaving_bytes: dict[str, float] = defaultdict(float)
        self._arriving_bytes: dict[str, float] = defaultdict(float)

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers that are probable enough for the most efficient layers."""
        value = situation.cold_start(situation.current)
        best = next(increments(situation.current, 1.0, value, 0.0), None)
        return [
            server
            for server, probability in situation.visits().items()
            if server != situation.current
            and best is not None
            and probability[0] * best.queries_per_mb >= self.own.least_benefit
        ]

    def offers(self, situation: Situation) -> list[Offer]:
        """Return the best increments, and that what is there already is kept."""
        chosen = self._choose(situation)
        offers = []
        for server, probability in situation.visits().items():
            if server in chosen:
                layers = situation.plan(server)[: chosen[server].layers]
                offers.append(situation.offer(server, layers))
                situation.expect(offers[-1], chosen[server].ends_bytes)
            elif situation.holds(server) and self.keeps(probability):
                offers.append(situation.hold(server))
        return offers

    def _choose(self, situation: Situation) -> dict[str, Increment]:
        """Return the last increment of each server that gets some."""
        ready_bytes = situation.ready_bytes(situation.current)
        chosen: dict[str, Increment] = {}
        full: set[str] = set()
        for increment in self._worthwhile(situation):
            server = increment.server
            size_bytes = min(increment.ends_bytes, ready_bytes) - increment.starts_bytes
            if size_bytes > 0 and server not in full:
                if self._fits(situation, server, size_bytes):
                    chosen[server] = increment
                else:
                    full.add(server)  # and so are the increments after this one left out
        return chosen

    def _worthwhile(self, situation: Situation) -> list[Increment]:
        now_s, probability = situation.prediction.time_s, situation.visits()
        found = [
            increment
            for server in self.destinations(situation)
            for increment in increments(
                server,
                probability[server][0],
                situation.cold_start(server),
                situation.holdings.bytes_at(server, now_s),
            )
            if increment.queries_per_mb >= self.own.least_benefit
        ]
        return sorted(found, key=lambda each: -each.queries_per_mb)

    def _fits(self, situation: Situation, server: str, size_bytes: float) -> bool:
        """Whether both servers can carry so much more in this interval; if so, plan for it."""
        if situation.ends_s != self._ends_s:
            self._ends_s = situation.ends_s
            self._leaving_bytes.clear()
            self._arriving_bytes.clear()
        interval_s = situation.ends_s - situation.prediction.time_s
        most_bytes = self.own.capacity_bps * interval_s / 8 - size_bytes
        leaving, arriving = self._leaving_bytes, self._arriving_bytes
        if leaving[situation.current] > most_bytes or arriving[server] > most_bytes:
            return False
        leaving[situation.current] += size_bytes
        arriving[server] += size_bytes
        return True
