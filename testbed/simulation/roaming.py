"""One client on its way through a run: servers attached to, layers there, queries, offers.

What a policy decides, when layers are discarded and what counts as a hit are the emulator's own
(`policies`, `presence`); here they happen in virtual time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from testbed.errors import ConfigurationError
from testbed.policies import Situation
from testbed.presence import Hold
from testbed.simulation.foresight import Client, Expected
from testbed.simulation.log import Answered, Log, Moved, Order, Supply, Uploaded
from testbed.simulation.session import Queries, Session
from testbed.simulation.world import World
from testbed.values import Offer, Prediction


@dataclass(slots=True)
class _Copy(Hold):
    """What a server has of the client's stream."""

    present_bytes: float = 0.0


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
        self.enters, self.leaves = client.enters, client.leaves
        self.log = Log(details)
        self._world = world
        self._number = number
        self._raise_s = raise_s
        self._server = -1
        self._session: Session | None = None
        self._attached_s = self._attached_bytes = 0.0
        self._copies: dict[int, _Copy] = {}
        self._held_until_s: dict[str, float] = {}
        self._supplied: tuple[int, Supply] | None = None  # in a step, by the current server

    def begin(self, step: int, expected: Expected) -> list[Order]:
        """Move as the trace says, report the position, and return what is to be migrated."""
        now_s = self._world.step_s(step)
        server = self.client.attached[step - self.enters]
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
        end_s = min(end_s, self._world.step_s(self.leaves))
        if self._session is not None:
            self._session.advance(end_s)
            present_bytes = self._session.present_bytes(end_s)
            unasked = not self._session.queries
            self._session.give_up(end_s)
            self._record(self._session, self._server, end_s, present_bytes)
            if unasked and self._raise_s - self._world.gap_s > end_s:
                self.log.take_back()  # it was raised at the server before

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
        self._keep(session.take_earlier(), server)
        hit = present_bytes >= size_bytes
        moved = Moved(step, self._server, server, present_bytes, hit, queries)
        self.log.handovers.append(moved)
        self._server, self._attached_s, self._attached_bytes = server, now_s, present_bytes
        self._supplied = None

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
        self._keep(session.queries, server)
        if session.queries:
            self.log.last = Answered(server, session.queries[-1])
        if self.log.details:
            until_s = min(session.finished_s, now_s)
            self.log.uploads.append(
                Uploaded(server, self._attached_s, until_s, self._attached_bytes, present_bytes)
            )

    def _keep(self, queries: Sequence[Queries], server: int) -> None:
        log = self.log
        log.queries += sum(each.number for each in queries)
        log.cold_start_queries += sum(each.number for each in queries if each.cold_start)
        if log.details:
            log.answers += [Answered(server, each) for each in queries]

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
            visits=partial(expected.visits, row),
            held_until_s=self._held_until_s,
        )
        offers = world.policy.offers(situation)
        self._check(offers, situation)
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

    def _check(self, offers: Sequence[Offer], situation: Situation) -> None:
        """Refuse what a policy may decide and the simulator does not carry out.

        Raises:
            ConfigurationError: there is such an offer, or one to a server that is none.
        """
        if not offers:
            return
        known, policy = self._world.number_of, type(self._world.policy).__name__
        if len({offer.destination for offer in offers}) < len(offers):
            raise ConfigurationError(f"{policy}: two offers to one server; offer all at once")
        for offer in offers:
            if offer.destination not in known or offer.source not in known:
                raise ConfigurationError(
                    f"{policy}: offers from {offer.source!r} to {offer.destination!r}, which are"
                    " not both access points of this run"
                )
            if offer.source != situation.current == offer.destination:
                raise ConfigurationError(
                    f"{policy}: offers layers to the server that the client is at; the simulator"
                    " has no such offers"
                )
            if offer.ends_s != situation.ends_s:
                raise ConfigurationError(
                    f"{policy}: an offer ends at {offer.ends_s:g} s; in the simulator all end with"
                    f" the interval, at {situation.ends_s:g} s"
                )

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

    def _supply(self, source: int, step: int, now_s: float) -> Supply:
        """Return what a server can send on in a step: layers that it has whole, or gets whole."""
        if source != self._server:
            present_bytes = self._copy(source, now_s).present_bytes
            return [(now_s, self._world.stream.whole_bytes(present_bytes))]
        if self._supplied is None or self._supplied[0] != step:
            self._supplied = step, self._uploaded(step, now_s)
        return self._supplied[1]

    def _uploaded(self, step: int, now_s: float) -> Supply:
        session, end_s = self._session, self._world.step_s(step + 1)
        assert session is not None
        session.advance(end_s)
        self._keep(session.take_earlier(), self._server)
        session.forget_layers(now_s)
        return session.supply(now_s, end_s)

    def _copy(self, server: int, now_s: float) -> _Copy:
        """Return what a server has of this client; nothing once that has expired."""
        copy = self._copies.get(server)
        if copy is None or copy.expires_s() <= now_s:
            copy = self._copies[server] = _Copy()
        return copy
