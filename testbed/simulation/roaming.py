"""One client on its way through a run: servers attached to, layers there, queries, offers.

What a policy decides, when layers are discarded and what counts as a hit are the emulator's own
(`policies`, `presence`); here they happen in virtual time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from math import inf
from typing import NamedTuple

from testbed.errors import ConfigurationError
from testbed.policies import Policy, Situation, time_to_live_s
from testbed.presence import Hold
from testbed.simulation.attachment import Sharing
from testbed.simulation.foresight import Client, Expected
from testbed.simulation.session import Queries, Session
from testbed.simulation.stream import Stream
from testbed.values import AccessPoint, Prediction


@dataclass(frozen=True, eq=False)
class World:
    """What all clients of a run share.

    Args:
        access_points: in the order by which they are numbered.
        policy: who gets which layers when.
        stream: the model.
        interval_s: of a step.
        duration_s: of the run.
        gap_s: from an answer to the next query.
        sharing: of the uplink.
        retain_uploads: whether servers keep the layers of clients that left.
    """

    access_points: Sequence[AccessPoint]
    policy: Policy
    stream: Stream
    interval_s: float
    duration_s: float
    gap_s: float
    sharing: Sharing
    retain_uploads: bool

    @cached_property
    def number_of(self) -> dict[str, int]:
        """The access points' numbers by name."""
        return {each.name: number for number, each in enumerate(self.access_points)}

    @cached_property
    def time_to_live_s(self) -> float:
        """How long an offer holds layers."""
        return time_to_live_s(self.policy.settings.ttl_intervals, self.interval_s)

    @cached_property
    def layer_bytes(self) -> Sequence[int]:
        """The weights of each layer of the model."""
        sizes: list[int] = self.stream.offloading.graph.weight_bytes.tolist()
        return sizes

    def plan(self, server: str) -> Sequence[int]:
        """Return the layers that a server shall have, in the order of upload."""
        return self.stream.layers

    def step_s(self, step: int) -> float:
        """Return when a step begins, at the latest the run's end."""
        return min(step * self.interval_s, self.duration_s)

    def wanted_bytes(self, layers: Sequence[int]) -> int:
        """Return how much of the stream an offer is about.

        Raises:
            ConfigurationError: a policy offers layers in another order than that of upload.
        """
        if layers is self.stream.layers:
            return self.stream.size_bytes
        try:
            return self.stream.bytes_of(layers)
        except ValueError as error:
            raise ConfigurationError(
                f"{type(self.policy).__name__}: {error}; the simulator has no other offers"
            ) from error


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
    supply: Sequence[tuple[float, float]]
    sent_bytes: float = 0.0
    until_s: float = inf


@dataclass(slots=True)
class _Copy(Hold):
    """What a server has of the client's stream."""

    present_bytes: float = 0.0


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


class Roaming:
    """A client of a run. `begin` each step, carry out the orders, and `end` it; then `finish`.

    Args:
        world: what it shares with the others.
        number: which client it is.
        client: its movement.
        raise_s: when it raises its first query.
        details: whether the log keeps each offer and query.
    """

    def __init__(
        self, world: World, number: int, client: Client, raise_s: float, *, details: bool
    ) -> None:
        self.client = client
        self.log = Log(details)
        self._world = world
        self._number = number
        self._raise_s = raise_s
        self._server = -1
        self._session: Session | None = None
        self._attached_s = self._attached_bytes = 0.0
        self._copies: dict[int, _Copy] = {}
        self._held_until_s: dict[str, float] = {}

    def begin(self, step: int, expected: Expected) -> list[Order]:
        """Move as the trace says, report the position, and return what is to be migrated."""
        now_s = self._world.step_s(step)
        server = self.client.attached[step - self.client.enters]
        if server != self._server:
            self._hand_over(server, step, now_s)
        row = expected.row(self._number, step)
        return [] if row is None else self._report(step, now_s, expected, row)

    def end(self, order: Order) -> None:
        """An order has been carried out, as far as it could be."""
        if order.sent_bytes:
            self.log.sent.append((order.step, order.source, order.destination, order.sent_bytes))
            self._copies[order.destination].present_bytes = order.have_bytes + order.sent_bytes
        if self.log.details:
            self.log.orders.append(order)

    def finish(self, end_s: float) -> None:
        """The run is over, or the client's trace: what is not answered by then does not count."""
        end_s = min(end_s, self._world.step_s(self.client.leaves))
        if self._session is not None:
            self._session.advance(end_s)
            present_bytes = self._session.present_bytes(end_s)
            self._session.give_up(end_s)
            self._record(self._session, self._server, end_s, present_bytes)

    def _hand_over(self, server: int, step: int, now_s: float) -> None:
        self._leave(now_s)
        world, size_bytes = self._world, self._world.stream.size_bytes
        copy = self._copy(server, now_s)
        present_bytes = float(size_bytes) if world.policy.preloaded else copy.present_bytes
        copy.attached = True
        self._raise_s = max(self._raise_s, now_s)
        self._session = session = Session(
            world.stream,
            attached_s=now_s,
            present_bytes=present_bytes,
            raise_s=self._raise_s,
            gap_s=world.gap_s,
            sharing=world.sharing,
        )
        queries = session.advance(world.step_s(step + 1))
        hit = present_bytes >= size_bytes
        moved = Moved(step, self._server, server, present_bytes, hit, queries)
        self.log.handovers.append(moved)
        self._server, self._attached_s, self._attached_bytes = server, now_s, present_bytes

    def _leave(self, now_s: float) -> None:
        """Leave the server, if any, and forget what has expired at all of them."""
        session, server = self._session, self._server
        if session is not None:
            session.advance(now_s)
            copy = self._copies[server]
            copy.present_bytes = session.present_bytes(now_s)
            copy.leave(retain=self._world.retain_uploads)
            session.leave(now_s)
            self._raise_s = session.raise_s
            self._record(session, server, now_s, copy.present_bytes)
        self._copies = {
            each: copy for each, copy in self._copies.items() if copy.expires_s() > now_s
        }

    def _record(self, session: Session, server: int, now_s: float, present_bytes: float) -> None:
        log = self.log
        log.queries += sum(each.number for each in session.queries)
        log.cold_start_queries += sum(each.number for each in session.queries if each.cold_start)
        if log.details:
            log.answers += [Answered(server, each) for each in session.queries]
            until_s = min(session.finished_s, now_s)
            log.uploads.append(
                Uploaded(server, self._attached_s, until_s, self._attached_bytes, present_bytes)
            )

    def _report(self, step: int, now_s: float, expected: Expected, row: int) -> list[Order]:
        world = self._world
        x_m, y_m = expected.place_m(row)
        situation = Situation(
            current=world.access_points[self._server].name,
            prediction=Prediction(self.client.name, now_s, x_m, y_m),
            access_points=expected.near(row),
            plan=world.plan,
            layer_bytes=world.layer_bytes,
            ends_s=now_s + world.interval_s,
            until_s=now_s + world.time_to_live_s,
            visits=cache(partial(expected.visits, row)),
            held_until_s=self._held_until_s,
        )
        offers = world.policy.offers(situation)
        self._held_until_s.update({offer.destination: offer.until_s for offer in offers})
        if self.log.details:
            offered = " ".join(offer.destination for offer in offers)
            self.log.offers.append((step, (x_m, y_m), offered))
        orders = []
        for offer in offers:
            destination = world.number_of[offer.destination]
            copy = self._copy(destination, now_s)
            copy.offer(offer.until_s)
            source = world.number_of[offer.source]
            if source != destination:
                want_bytes = world.wanted_bytes(offer.layers)
                if self.log.details or copy.present_bytes < want_bytes:
                    orders.append(self._order(step, now_s, source, destination, copy, want_bytes))
        return orders

    def _order(
        self, step: int, now_s: float, source: int, destination: int, copy: _Copy, want_bytes: float
    ) -> Order:
        return Order(
            client=self,
            source=source,
            destination=destination,
            step=step,
            have_bytes=copy.present_bytes,
            want_bytes=want_bytes,
            supply=self._supply(source, step, now_s),
        )

    def _supply(self, source: int, step: int, now_s: float) -> Sequence[tuple[float, float]]:
        """Return what a server can send on in a step: layers that it has whole, or gets whole."""
        session, end_s = self._session, self._world.step_s(step + 1)
        if source != self._server or session is None:
            present_bytes = self._copy(source, now_s).present_bytes
            return [(now_s, self._world.stream.whole_bytes(present_bytes))]
        session.advance(end_s)
        return session.supply(now_s, end_s)

    def _copy(self, server: int, now_s: float) -> _Copy:
        """Return what a server has of this client; nothing once that has expired."""
        copy = self._copies.get(server)
        if copy is None or copy.expires_s() <= now_s:
            copy = self._copies[server] = _Copy()
        return copy
