"""What planning for servers' load is worth: clients that share servers, in virtual time.

The master's decisions are the real ones (`Coordinator`): a client goes to the visible server with
the least estimated time, and has its plan (section III.C.2), when it comes and at each report. What
happens then is the modelled accelerators'. Nothing else is limited: each client has the rates of
its link for itself, and every visible server holds all of its layers, as if migrated before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from testbed.arrays import FloatArray
from testbed.decision.coordinator import Coordinator, CurrentPlan
from testbed.decision.policies import Ionn
from testbed.dnn.devices.device_profile import DeviceProfile
from testbed.dnn.graph import LayerGraph
from testbed.dnn.partitioning.partition import Costs, latency
from testbed.dnn.partitioning.partitioner import best_plan, best_plans
from testbed.gpu.accelerator import Work
from testbed.gpu.estimation.layer_by_layer import ESTIMATORS, LayerByLayer, layer_profile
from testbed.gpu.estimation.server_times import ServerTimes
from testbed.gpu.sharing import DEFAULTS
from testbed.gpu.stats import ServerStats
from testbed.gpu.virtual_servers import Execution, Process, VirtualServers
from testbed.mobility.positions import Stay
from testbed.settings.experiment import Migration
from testbed.simulation.offloading import Offloading, TimedSegment
from testbed.values import AccessPoint

#: Of the master: times of a graph's layers at servers of such loads, (servers, n) seconds.
Estimate = Callable[[LayerGraph, Sequence[ServerStats]], FloatArray]

#: What the master plans with: nothing of the load, the four of `server.estimator`, and the truth.
PLANNED_WITH = ("idle", *("ll", "ll_load", "forest", "slowdown"), "truth")

_SAMPLES, _SAMPLE_S = 10, 0.1  # what the truth is told of: the second that a server's load is of
_SLOWER = np.geomspace(1, 1e4, 400)  # in steps of 2 %


class LoadAndTruth(ServerStats, frozen=True):
    """A server's load, with what no server can tell.

    `slowdown` is that of one more client in the past second, the asking client's own work left out.
    """

    slowdown: float


@dataclass(frozen=True)
class Crowd:
    """Clients of one kind, and the servers that all of them see.

    `client_s` and `server_s` are the layers' seconds on either side when idle, (n,). All clients
    have the first server as their `nearest` or each another one in turn, which counts among servers
    of equal times. They come at random instants of the first interval.
    """

    graph: LayerGraph
    client_s: FloatArray
    server_s: FloatArray
    rates_bps: tuple[float, float]  # up, down
    gap_s: float
    clients: int
    servers: int = 1
    same_nearest: bool = True
    interval_s: float = 30.0  # between reports
    intervals: int = 4  # that are counted, after the one in which clients come


class Served(NamedTuple):
    """What became of the queries answered after the first interval."""

    queries: int
    mean_s: float
    server_share: float  # of the queries, how many executed something at a server


def serve(crowd: Crowd, estimate: Estimate, seed: int = 1) -> Served:
    """Let the crowd come and raise queries; return how they were answered."""
    return _Serving(crowd, estimate, seed).run()


def estimates(device: DeviceProfile, names: Collection[str]) -> dict[str, Estimate]:
    """Return those of `PLANNED_WITH` that are named, learnt for edge servers with this device."""

    def idle(graph: LayerGraph, stats: Sequence[ServerStats]) -> FloatArray:
        return np.tile(device.layer_times(graph), (len(stats), 1))

    def truth(graph: LayerGraph, stats: Sequence[ServerStats]) -> FloatArray:
        return np.outer(_slowdowns(stats), device.layer_times(graph))

    learnt = {"idle": idle, "truth": truth}
    if "slowdown" in names:
        learnt["slowdown"] = ServerTimes.train(device).layer_times
    if by_layer := [name for name in ESTIMATORS if name in names]:
        profile = layer_profile(device)
        for name in by_layer:
            loaded = LayerByLayer(name, profile)
            learnt[name] = ServerTimes(device, loaded, "modelled").layer_times
    return {name: learnt[name] for name in names}


def slowed(device: DeviceProfile, factor: float) -> DeviceProfile:
    """Return a device on which every layer takes so many times as long."""
    layers = tuple(
        msgspec.structs.replace(layer, time_s=layer.time_s * factor) for layer in device.layers
    )
    return DeviceProfile(device.metadata, layers)


class PlanChanges(NamedTuple):
    """How many times slower than idle a server must be; infinity if more than 10,000 times."""

    other_plan_at: float  # for another plan to be the best
    loses_at: float  # for the idle plan to take 10 % longer than the best
    all_local_at: float  # for nothing to be worth offloading


def plan_changes(
    graph: LayerGraph, client_s: FloatArray, server_s: FloatArray, rates_bps: tuple[float, float]
) -> PlanChanges:
    """Return where plans for a loaded server differ from the idle one's, in steps of 2 %."""
    plans = best_plans(graph, client_s, np.outer(_SLOWER, server_s), *rates_bps)
    idle = plans[0].mask
    kept_s = [
        latency(graph, Costs(client_s, slower * server_s, *rates_bps), idle) for slower in _SLOWER
    ]
    return PlanChanges(
        _first(plan.on_server != plans[0].on_server for plan in plans),
        _first(kept > 1.1 * plan.latency_s for kept, plan in zip(kept_s, plans, strict=True)),
        _first(not any(plan.on_server) for plan in plans),
    )


def _first(holds: Iterable[bool]) -> float:
    return next((float(slower) for slower, it in zip(_SLOWER, holds, strict=True) if it), np.inf)


class _Serving:
    """A crowd, its servers and its master."""

    def __init__(self, crowd: Crowd, estimate: Estimate, seed: int) -> None:
        names = [f"ap{number}" for number in range(1, crowd.servers + 1)]
        self._crowd = crowd
        self._arrivals_s = np.random.default_rng(seed).random(crowd.clients) * crowd.interval_s
        self._servers = VirtualServers(names)
        self._names = names
        self._worked: deque[Mapping[str, set[str]]] = deque(maxlen=_SAMPLES)
        self._answers: list[tuple[float, bool]] = []  # seconds, whether at a server
        costs = Costs(crowd.client_s, crowd.server_s, *crowd.rates_bps)
        self._alone = Offloading(crowd.graph, costs, planner=best_plan)
        self._steps: dict[tuple[bool, ...], tuple[TimedSegment, ...]] = {}
        self._coordinator = Coordinator(
            access_points=[AccessPoint(name, 0.0, 0.0) for name in names],
            predictor=Stay(1),
            policy=Ionn(Migration()),
            server_times=estimate,
            rates_bps=crowd.rates_bps,
            interval_s=crowd.interval_s,
            gap_s=crowd.gap_s,
        )

    def run(self) -> Served:
        self._servers.start(self._watch())
        for number, arrival_s in enumerate(self._arrivals_s.tolist()):
            self._servers.start(self._client(number, arrival_s))
        self._servers.run(self._crowd.interval_s * (1 + self._crowd.intervals))
        if not self._answers:
            return Served(0, np.nan, np.nan)
        mean_s, share = np.mean(self._answers, axis=0).tolist()
        return Served(len(self._answers), mean_s, share)

    def _client(self, number: int, arrives_s: float) -> Process:
        client = f"client{number + 1}"
        first = 0 if self._crowd.same_nearest else number % len(self._names)
        visible = self._names[first:] + self._names[:first]
        self._coordinator.register(client, self._crowd.graph, self._crowd.client_s.tolist(), ())
        now_s = report_s = yield arrives_s
        while True:
            if now_s >= report_s:
                loads = {server: self._load(server, client) for server in visible}
                server, current = self._coordinator.choose(client, visible, loads)
                report_s += self._crowd.interval_s
            raised_s = now_s
            now_s = yield from self._query(client, server, self._steps_of(current), now_s)
            if now_s >= self._crowd.interval_s:
                self._answers.append((now_s - raised_s, any(current.plan.on_server)))
            now_s = yield self._crowd.gap_s

    def _query(
        self, client: str, server: str, steps: Sequence[TimedSegment], now_s: float
    ) -> Generator[float | Execution, float, float]:
        up_bps, down_bps = self._crowd.rates_bps
        for step in steps:
            if step.on_server:
                yield 8 * step.up_bytes / up_bps
                yield Execution(server, client, Work.of(step.execution_s))
                now_s = yield 8 * step.down_bytes / down_bps
            else:
                now_s = yield step.execution_s
        return now_s

    def _steps_of(self, current: CurrentPlan) -> tuple[TimedSegment, ...]:
        plan = current.plan
        if plan.on_server not in self._steps:
            self._steps[plan.on_server] = self._alone.steps_of(plan.segments())
        return self._steps[plan.on_server]

    def _load(self, server: str, client: str) -> LoadAndTruth:
        slowdowns = [DEFAULTS.slowdown(1 + len(each[server] - {client})) for each in self._worked]
        told = msgspec.structs.asdict(self._servers.load(server))
        return LoadAndTruth(**told, slowdown=float(np.mean(slowdowns)) if slowdowns else 1.0)

    def _watch(self) -> Process:
        while True:
            self._worked.append({name: self._servers.working(name) for name in self._names})
            yield _SAMPLE_S


def _slowdowns(stats: Sequence[ServerStats]) -> FloatArray:
    return np.array([each.slowdown if isinstance(each, LoadAndTruth) else 1.0 for each in stats])
