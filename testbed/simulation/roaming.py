"""One client on its way through a run: servers attached to, layers there, queries, offers.

What a policy decides, when layers are discarded and what counts as a hit are the emulator's own
(`policies`, `time_to_live`); here they happen in virtual time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isinf

from testbed.decision.holdings import Holdings
from testbed.decision.time_to_live import Hold
from testbed.runs.warm_start import Beginning, Held
from testbed.simulation.fluid.growth import Growth, Supply
from testbed.simulation.fluid.uplink import Uplink
from testbed.simulation.foresight import ClientPath, Expected
from testbed.simulation.image_fetch import ImageFetch
from testbed.simulation.log import AnswerGroup, Log, Moved, Order, Routed, Uploaded
from testbed.simulation.session import Session
from testbed.simulation.world import World
from testbed.values import Offer


@dataclass(slots=True)
class _Copy(Hold):
    """What a server has of the client's stream."""

    present_bytes: float = 0.0


class Roaming:
    """A client of a run. Each step: `begin`, `end` every order once it is carried out, `count`.

    It is client `number`, raises its first query at `raise_s`, and with `details` its log keeps
    each offer and query.
    """

    def __init__(
        self, world: World, number: int, client: ClientPath, raise_s: float, *, details: bool
    ) -> None:
        self.client = client
        self.enters, self.leaves = client.enters, client.leaves
        self.log = Log(details)
        self._world = world
        self._number = number
        self._raise_s = raise_s
        self._place = -1  # the access point
        self._server = -1  # that executes; it may be at another access point
        self._served = -1  # the one that did before the run
        self._session: Session | None = None
        self._attached_s = self._attached_bytes = 0.0
        self._copies: dict[int, _Copy] = {}
        self._reports = details or world.policy.migrates
        self._may_sleep = world.policy.memoryless and not details
        self._holdings = Holdings(world.up_bytes_s, world.kept_s)
        self._supplied: tuple[int, Supply] | None = None  # in a step, by the current server
        #: The step from which on it is called; until then it stays, and would be offered the same.
        self.wakes = 0
        #: What it was offered at its last report until when, and is again while it sleeps.
        self._standing: list[tuple[_Copy, float]] | None = None
        self._reported_s = 0.0
        self._moved: Moved | None = None  # in this step
        self._raised = 0  # queries, since then
        self._fetch: ImageFetch | None = None  # of the server that executes
        self._holder = -1  # the server that had an image whole last
        self._routed = Routed()  # in this step
        self._before_bytes = 0.0  # that the client had uploaded when the step began

    def begin_with(self, begins: Beginning) -> None:
        """Take how the client stands when the run begins."""
        number_of = self._world.number_of
        if begins.served_by is not None:
            self._served = number_of[begins.served_by]
        if begins.image_at is not None:
            self._holder = number_of[begins.image_at]
        self._holdings.begin_with(begins.believed)
        for held in begins.held:
            copy = self._copies[number_of[held.server]] = _Copy()
            copy.present_bytes = float(held.present_bytes)
            copy.offer(inf if held.until_s is None else held.until_s)

    def beginning(self, step: int, place: int) -> Beginning:
        """Return how the client stands before a step in which it is at an access point.

        Nothing else can be asked of it afterwards. Where it is served on, its server holds what it
        has for the half of an interval in which a run begins.
        """
        world, now_s = self._world, self._world.step_s(step)
        assert self._session is not None
        self._wake(step)
        self._session.advance(now_s)
        copy = self._copies[self._server]
        copy.present_bytes = self._session.present_bytes(now_s)
        if world.serving(place, self._server) == self._server:
            copy.attached = False
            copy.offer(now_s + world.interval_s / 2)
        else:
            copy.leave(now_s, world.kept_s)
        return Beginning(
            served_by=world.names[self._server],
            held=tuple(
                Held(world.names[server], int(each.present_bytes), _since(now_s, each.expires_s()))
                for server, each in self._copies.items()
                if each.expires_s() > now_s and each.present_bytes >= 1
            ),
            believed=self._holdings.beliefs(now_s),
            image_at=world.names[self._holder] if self._holder >= 0 else None,
        )

    def begin(self, step: int, now_s: float, expected: Expected) -> Sequence[Order]:
        """Move as the trace says, report the position, and return what is to be migrated."""
        self._wake(step)
        place = self.client.attached[step - self.enters]
        if place != self._place:
            self._hand_over(place, step, now_s)
        if self._server != place:
            self._before_bytes = self._uploaded_bytes(now_s)
        self.wakes = step + 1
        fetch = [] if self._fetch is None else [self._fetch.order(self, step, now_s)]
        if not self._reports:
            if self._server == place and not fetch:
                self.wakes = self.client.moves_after(step)
            return fetch
        row = expected.row(self._number, step)
        if row is None:
            return fetch
        sleeps = expected.lasts[row] - 1 if self._may_sleep else 0
        orders, offers = self._report(step, now_s, expected, row)
        orders += fetch
        if sleeps and not orders and self._server == place:
            self.wakes += sleeps
            self._standing = [(self._copies[to], offer.until_s) for to, offer in offers.items()]
            self._reported_s = now_s
        return orders

    def _wake(self, step: int) -> None:
        """Take the offers that it was made while it slept, up to a step."""
        if self._standing is not None:
            slept_s = self._world.step_s(step - 1) - self._reported_s
            for copy, until_s in self._standing:
                copy.offer(until_s + slept_s)
            self._standing = None

    def end(self, order: Order) -> None:
        """An order has been carried out, as far as it could be."""
        if order.sent_bytes:
            self.log.sent.append((order.step, order.source, order.destination, order.sent_bytes))
            if order.image and self._fetch is not None and self._fetch.take(order):
                self._fetch, self._holder = None, order.destination
            if order.destination == self._server:
                assert self._session is not None
                self._session.receive(order.arrivals(self._world.stream.layer_ends_bytes))
            else:
                self._copies[order.destination].present_bytes = order.arrived_bytes
        if self.log.details:
            self.log.orders.append(order)

    def count(self, step: int) -> None:
        """All orders of the step have been carried out: count what the step's queries were."""
        routes = self._server != self._place
        if self._moved is None and not routes:
            return
        self._advance(self._world.step_s(step + 1))
        if self._moved is not None:
            self._moved.queries = self._raised
            self.log.handovers.append(self._moved)
            self._moved = None
        if routes:
            uploaded_bytes = self._uploaded_bytes(self._world.step_s(step + 1)) - self._before_bytes
            self.log.routed.append(
                self._routed.during(step, self._place, self._server, uploaded_bytes)
            )
            self._routed = Routed()

    def finish(self, end_s: float) -> None:
        """The run is over, or the client's trace: what is not answered by then does not count."""
        end_s = min(end_s, self._world.step_s(self.leaves))
        if self._session is not None:
            self._session.advance(end_s)
            present_bytes = self._session.present_bytes(end_s)
            unasked = not self._session.queries
            self._session.give_up(end_s)
            self._record(self._session, self._server, end_s, present_bytes)
            self._copies.pop(self._server)
            there = sum(copy.present_bytes for copy in self._copies.values())
            self.log.stored_bytes = there + present_bytes
            if unasked and self._raise_s - self._world.gap_s > end_s:
                self.log.take_back()  # it was raised at the server before

    def _hand_over(self, place: int, step: int, now_s: float) -> None:
        world = self._world
        before = self._served if self._session is None else self._server
        server = world.serving(place, before)
        held = self._copies.get(server)
        chosen = world.preloads(server) or (held is not None and held.offered_until_s > now_s)
        if server != self._server:
            present_bytes = self._attach(server, now_s)
        else:
            self._advance(now_s)
            present_bytes = self._present_bytes(now_s)
        hit = present_bytes >= world.stream.size_bytes
        self._moved = Moved(step, self._place, place, present_bytes, hit, chosen)
        self._raised = 0
        self._place = place
        self._holdings.at(world.names[server], now_s)

    def _attach(self, server: int, now_s: float) -> float:
        """Begin to upload to a server and to have it execute; return what it has."""
        world, copy = self._world, self._copy(server, now_s)
        image = world.image(self._holder)
        has_all = world.preloads(server) or (image and image.source == world.names[server])
        present_bytes = float(world.stream.size_bytes) if has_all else copy.present_bytes
        uplink = self._leave(now_s, world.stream.size_bytes - present_bytes)
        self._copies[server] = copy  # not what has expired just now
        copy.attached = True
        self._raise_s = max(self._raise_s, now_s)
        self._session = Session(
            world.stream,
            attached_s=now_s,
            present_bytes=present_bytes,
            raise_s=self._raise_s,
            gap_s=world.gap_s,
            sharing=world.sharing,
            uplink=uplink,
            uploads=image is None,
            keeps=self.log.details or world.routes,
        )
        self._server, self._attached_s, self._attached_bytes = server, now_s, present_bytes
        self._supplied = self._fetch = None
        if image is not None and present_bytes < world.stream.size_bytes:
            self._fetch = ImageFetch(image, world.number_of[image.source], server)
        return present_bytes

    def _leave(self, now_s: float, missing_there: float) -> Uplink | None:
        """Leave the server, if any, and forget what has expired at all of them.

        `missing_there` is what the next server lacks. Returns the uplink when the last query is
        answered, where that is under way.
        """
        session, server, uplink = self._session, self._server, None
        if session is not None:
            session.advance(now_s)
            copy = self._copies[server]
            copy.present_bytes = session.present_bytes(now_s)
            copy.leave(now_s, self._world.kept_s)
            uplink = session.leave(now_s, missing_there)
            self._raise_s = session.raise_s
            self._record(session, server, now_s, copy.present_bytes)
        for each, copy in [*self._copies.items()]:
            if copy.expires_s() <= now_s:
                self.log.expired_bytes += self._copies.pop(each).present_bytes
        return uplink

    def _record(self, session: Session, server: int, now_s: float, present_bytes: float) -> None:
        log = self.log
        log.queries += session.raised
        log.cold_start_queries += session.cold_starts
        if session.queries:
            log.last = AnswerGroup(server, session.queries[-1])
        if log.details:
            log.answers += [AnswerGroup(server, each) for each in session.queries]
            until_s = min(session.finished_s, now_s)
            from_bytes = self._attached_bytes + session.growth.leapt_bytes
            log.uploads.append(
                Uploaded(server, self._attached_s, until_s, from_bytes, present_bytes)
            )

    def _advance(self, until_s: float) -> None:
        """Raise the queries before a time, at the server that executes now."""
        session = self._session
        assert session is not None
        known = len(session.queries)
        self._raised += session.advance(until_s)
        if self._server != self._place:
            for queries in session.queries[known:]:
                self._routed = self._routed.with_queries(queries)

    def _present_bytes(self, now_s: float) -> float:
        assert self._session is not None
        return self._session.present_bytes(now_s)

    def _uploaded_bytes(self, now_s: float) -> float:
        """Return what the server has that did not come from other servers meanwhile."""
        assert self._session is not None
        return self._session.present_bytes(now_s) - self._session.growth.leapt_bytes

    def _report(
        self, step: int, now_s: float, expected: Expected, row: int
    ) -> tuple[list[Order], dict[int, Offer]]:
        """Return what is to be sent, and the offers by the numbers of their destinations."""
        world, name, place = self._world, self.client.name, self._place
        situation = world.situation(name, place, now_s, self._holdings, expected, row)
        offers = world.offers(situation)
        if self.log.details:
            offered = " ".join(offer.destination for offer in offers.values())
            self.log.offers.append((step, expected.surroundings.places_m[row], offered))
        fetched = offers.get(self._server)
        if fetched is not None and fetched.source != fetched.destination:
            # What comes meanwhile is sent on in the next interval
            self._advance(now_s)
            self._supplied = step, self._constant(self._present_bytes(now_s), now_s)
        memoryless, details = world.policy.memoryless, self.log.details
        orders: list[Order] = []
        for destination, offer in offers.items():
            copy = self._copy(destination, now_s)
            copy.offer(offer.until_s)
            if not memoryless:
                self._holdings.offer(offer.destination, now_s, offer.until_s)
            want_bytes = world.wanted_bytes(offer.layers)
            if copy.present_bytes >= want_bytes and not details:
                continue
            here, source = destination == self._server, world.number_of[offer.source]
            have_bytes = self._present_bytes(now_s) if here else copy.present_bytes
            if source != destination and (have_bytes < want_bytes or details):
                supply = self._supply(source, step, now_s)
                order = Order(self, source, destination, step, have_bytes, want_bytes, supply)
                orders.append(order)
        return orders, offers

    def _supply(self, source: int, step: int, now_s: float) -> Supply:
        """Return what a server can send on in a step: layers that it has whole, or gets whole."""
        if source != self._server:
            return self._constant(self._copy(source, now_s).present_bytes, now_s)
        if self._supplied is None or self._supplied[0] != step:
            end_s = self._world.step_s(step + 1)
            self._advance(end_s)
            assert self._session is not None
            growth = self._session.growth
            self._supplied = step, Supply(self._world.stream, growth, now_s, end_s)
        return self._supplied[1]

    def _constant(self, present_bytes: float, now_s: float) -> Supply:
        return Supply(self._world.stream, Growth(now_s, present_bytes), now_s, now_s)

    def _copy(self, server: int, now_s: float) -> _Copy:
        """Return what a server has of this client; nothing once that has expired."""
        copy = self._copies.get(server)
        if copy is None or copy.expires_s() <= now_s:
            self.log.expired_bytes += 0.0 if copy is None else copy.present_bytes
            copy = self._copies[server] = _Copy()
        return copy


def _since(now_s: float, time_s: float) -> float | None:
    """Return the time from now on, None for one that never comes."""
    return None if isinf(time_s) else time_s - now_s
