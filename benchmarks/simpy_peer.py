"""The simulator's model once more, as plain processes of SimPy: the peer of `testbed/simulation`.

Each client walks, uploads and raises queries in three processes, and each offer to a server is one
more; every layer, tensor, execution and pause is an event. What is decided (plans, order of upload,
predictions, offers, how long layers are held) is the testbed's own and is asked for as the emulated
master and servers ask for it: one report at a time. What takes time, and all that is counted, is
done here a second time. The backhaul is unlimited, and clients use the servers at their access
points.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

import simpy

from benchmarks.simpy_world import MOVE, RAISE, Due, PeerWorld, Store
from testbed.decision.coordinator import Predicts
from testbed.decision.time_to_live import kept_after_leaving_s
from testbed.dnn.partitioning.crossings import local_rest
from testbed.settings.experiment import Experiment
from testbed.simulation.foresight import ClientPath
from testbed.simulation.offloading import Offloading, TimedSegment
from testbed.values import AccessPoint, Fix, Offer, client_seed

Process = Generator[simpy.Event, object, None]


@dataclass(slots=True)
class Move:
    """A handover, or with -1 as its source the first attachment.

    Args:
        step: at which the client moves.
        source, destination: numbers of access points.
        present_bytes: of the model at the destination then.
        hit: nothing was missing.
        queries: raised in the interval after it.
    """

    step: int
    source: int
    destination: int
    present_bytes: float
    hit: bool
    queries: int = 0


@dataclass
class PeerCounts:
    """What one client did.

    Args:
        moves: its first attachment and its handovers.
        sent_bytes: what was migrated, by step, source and destination.
        queries: how many were answered.
        cold_start_queries: those of them that were raised while the server lacked a layer.
    """

    moves: list[Move] = field(default_factory=list)
    sent_bytes: dict[tuple[int, int, int], float] = field(default_factory=dict)
    queries: int = 0
    cold_start_queries: int = 0


def simulate(
    settings: Experiment,
    offloading: Offloading,
    access_points: Sequence[AccessPoint],
    clients: Sequence[ClientPath],
    predictor: Predicts,
    *,
    duration_s: float,
) -> list[PeerCounts]:
    """Let everyone walk until the run is over; return what each did.

    Args:
        settings: policy, gap between queries, seed, sharing of the uplink.
        offloading: the model between a client and an idle server.
        access_points: all of the run.
        clients: who takes part.
        predictor: fitted with these access points.
        duration_s: of the run.
    """
    world = PeerWorld(settings, offloading, access_points, predictor, duration_s)
    walkers = [Walker(world, number, client) for number, client in enumerate(clients)]
    world.env.run()
    return [each.counts for each in walkers]


class Walker:
    """A client of a run.

    Args:
        world: what it shares with the others.
        number: which client it is.
        client: its movement.
    """

    def __init__(self, world: PeerWorld, number: int, client: ClientPath) -> None:
        self.counts = PeerCounts()
        self._world, self._env, self._client = world, world.env, client
        self._layer_bytes = world.layer_bytes
        self._stores: dict[int, Store] = {}
        self._server = -1
        self._plan: Sequence[int] = ()  # what the server shall have, in the order of upload
        self._uplink = world.uplink()
        self._upload: simpy.Process | None = None
        self._interval_ends_s = 0.0  # of the interval after the last handover
        drawn = random.Random(client_seed(world.settings.seed, number))
        self._first_query_s = drawn.uniform(0, world.settings.model.query_gap_s)
        fixes = [
            Fix(client.name, world.step_s(step), *client.positions_m[step - client.first].tolist())
            for step in range(client.first, client.enters)
        ]
        graph, client_s = world.offloading.graph, world.offloading.costs.client_s
        world.coordinator.register(client.name, graph, client_s.tolist(), fixes)
        world.env.process(self._walk())

    def _walk(self) -> Process:
        """Be at each step where the trace says, and report the position."""
        world, env, client = self._world, self._env, self._client
        yield Due(env, world.step_s(client.enters) - env.now, MOVE)
        queries = None
        for step, server in enumerate(client.attached, client.enters):
            if env.now >= world.duration_s:
                break
            if server != self._server:
                self._hand_over(step, server)
            queries = queries or env.process(self._raise_queries())
            self._report(step)
            yield Due(env, world.step_s(step + 1) - env.now, MOVE)
        if queries is not None:
            self._leave()
            queries.interrupt()

    def _hand_over(self, step: int, server: int) -> None:
        world = self._world
        self._leave()
        world.coordinator.associate(self._client.name, world.names[server])
        self._plan = world.coordinator.plan(self._client.name, world.names[server]).upload
        store = self._store(server)
        store.attached = True
        if world.policy.preloaded:
            store.whole = set(self._plan)
        present_bytes = sum(self._layer_bytes[layer] for layer in store.whole)
        present_bytes += sum(store.parts_bytes.values())
        hit = len(store.whole) == len(self._plan)
        self.counts.moves.append(Move(step, self._server, server, present_bytes, hit))
        self._server = server
        self._interval_ends_s = world.step_s(step + 1)
        self._upload = self._env.process(self._send_layers(store))

    def _leave(self) -> None:
        """Leave the server, if there is one."""
        if self._upload is None:
            return
        if self._upload.is_alive:
            self._upload.interrupt()
        store = self._stores[self._server]
        settings = self._world.settings
        kept_s = kept_after_leaving_s(settings.migration, settings.traces.step_s)
        store.leave(self._env.now, kept_s)

    def _store(self, server: int) -> Store:
        """Return what a server has of this client; nothing once that has expired."""
        store = self._stores.get(server)
        if store is None or store.expires_s() <= self._env.now:
            store = self._stores[server] = Store(self._env)
        return store

    def _send_layers(self, store: Store) -> Process:
        """Upload what the server lacks, until the client leaves."""
        for layer in self._plan:
            if layer in store.whole:
                continue
            missing = self._layer_bytes[layer] - store.parts_bytes.get(layer, 0.0)
            sending = self._uplink.send(missing)
            try:
                yield sending
            except simpy.Interrupt:
                left = self._uplink.stop(sending)
                store.parts_bytes[layer] = self._layer_bytes[layer] - left
                return
            store.put(layer)

    def _report(self, step: int) -> None:
        """Report the position, and have carried out what the master orders."""
        x_m, y_m = self._client.positions_m[step - self._client.first].tolist()
        fix = Fix(self._client.name, self._env.now, x_m, y_m)
        _, offers = self._world.coordinator.report(fix)
        for offer in offers:
            destination = self._store(self._world.number_of[offer.destination])
            destination.offer(offer.until_s)
            self._env.process(self._migrate(step, offer, destination))

    def _migrate(self, step: int, offer: Offer, destination: Store) -> Process:
        """Send layers from server to server as they get whole, until the order's end."""
        number_of = self._world.number_of
        key = step, number_of[offer.source], number_of[offer.destination]
        source, sent_bytes = self._stores[key[1]], self.counts.sent_bytes
        ends = Due(self._env, offer.ends_s - self._env.now, MOVE)
        for layer in offer.layers:
            while layer not in source.whole and not ends.processed:
                yield source.changed | ends
            if layer not in source.whole:
                return
            if layer not in destination.whole:
                missing = self._layer_bytes[layer] - destination.parts_bytes.get(layer, 0.0)
                sent_bytes[key] = sent_bytes.get(key, 0.0) + missing
                destination.put(layer)

    def _raise_queries(self) -> Process:
        """Raise a query, wait for the answer, pause, and so on, until the client's end."""
        env, counts, gap_s = self._env, self.counts, self._world.settings.model.query_gap_s
        try:
            yield Due(env, max(0.0, self._first_query_s - env.now), RAISE)
            while True:
                store = self._stores[self._server]
                cold_start = len(store.whole) < len(self._plan)
                counts.moves[-1].queries += env.now < self._interval_ends_s
                yield from self._execute(store)
                counts.queries += 1
                counts.cold_start_queries += cold_start
                yield Due(env, gap_s, RAISE)
        except simpy.Interrupt:
            pass

    def _execute(self, store: Store) -> Iterator[simpy.Event]:
        """Take a query's steps, what is left for the server at the client once it has left it."""
        env, offloading, upload = self._env, self._world.offloading, self._upload
        if store.steps is None:
            store.steps = offloading.steps(store.whole)
        ahead, taken = deque(store.steps), list[TimedSegment]()
        while ahead:
            step = ahead.popleft()
            if step.on_server and upload is not self._upload:  # the client has moved on
                ahead = deque(offloading.steps_of(local_rest(offloading.graph, _held(taken))))
                continue
            if step.up_bytes:
                yield self._uplink.send(step.up_bytes)
            yield env.timeout(step.execution_s)
            if step.down_bytes:
                yield env.timeout(8 * step.down_bytes / offloading.costs.down_bps)
            taken.append(step)


def _held(taken: Sequence[TimedSegment]) -> set[int]:
    """Return the layers whose outputs the client has after these steps."""
    held: set[int] = set()
    for step in taken:
        held.update(step.returned if step.on_server else step.layers)
    return held
