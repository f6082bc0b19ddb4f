"""The master's decisions: predict, plan, choose (Fig. 3), without a network.

The emulated master calls it with what arrives on its sockets, the simulator with what happens in
virtual time; both carry out the offers that it returns.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from testbed.arrays import FloatArray
from testbed.decision.current_plan import CurrentPlan, Plans, Profile, Rates
from testbed.decision.holdings import Holdings
from testbed.decision.policy import Image, Policy, Situation
from testbed.decision.time_to_live import kept_after_leaving_s, time_to_live_s
from testbed.dnn.graph import LayerGraph
from testbed.dnn.partitioning.partition import Planner
from testbed.dnn.partitioning.partitioner import best_plan
from testbed.gpu.stats import ServerStats
from testbed.runs.warm_start import Beginning
from testbed.values import AccessPoint, Fix, Offer, Prediction, names_around

Loads = Mapping[str, ServerStats]

#: The load of a server that nobody has asked yet.
IDLE = ServerStats("modelled", 0, 0.0, 0.0, 0, math.nan)


class Nearby(Protocol):
    """Servers that b people may visit: indices, and probabilities within 1, 2, ... intervals."""

    @property
    def servers(self) -> npt.NDArray[np.int64]:
        """Indices, (b, k); -1 for none."""

    @property
    def probability(self) -> FloatArray:
        """Shape (b, k, h)."""


class Predicts(Protocol):
    """A fitted mobility predictor; it needs the last n positions and reads `memory` at most."""

    n: int

    @property
    def memory(self) -> int:
        """At least n."""

    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the next positions, (b, 2), from the recent ones, (b, m, 2), oldest first."""

    def candidates(self, recent: FloatArray) -> Nearby:
        """Return the servers that b people may visit, from their recent positions, (b, m, 2)."""


@dataclass
class _Client:
    profile: Profile
    trajectory: deque[tuple[float, float]]
    holdings: Holdings
    access_point: str | None = None
    server: str | None = None  # that executes for it
    rates_bps: Rates | None = None  # its link's, once measured
    told: CurrentPlan | None = None  # with its server, as it knows it


class Coordinator:
    """The master server's view of all clients, and of what the servers last said of their load.

    Every method that plans takes the loads that were asked for it; where a server told nothing, its
    last load counts, and that of one that was never heard is `IDLE`.

    The access points have positions (the paper's Wi-Fi database), with which the predictor was
    fitted in this order. `server_times` estimates the time of each layer of a graph at servers of
    these loads, (servers, n) seconds; `rates_bps` are supposed of every wireless link, (up, down),
    but of one that a client has measured, where it is; `interval_s` lies between reports, and
    between prediction and predicted time, `gap_s` between the answer to a query and the client's
    next. `planner` makes all plans.
    """

    def __init__(
        self,
        *,
        access_points: Sequence[AccessPoint],
        predictor: Predicts,
        policy: Policy,
        server_times: Callable[[LayerGraph, Sequence[ServerStats]], FloatArray],
        rates_bps: tuple[float, float],
        interval_s: float,
        gap_s: float,
        planner: Planner = best_plan,
    ) -> None:
        self._access_points = tuple(access_points)
        self._predictor = predictor
        self._policy = policy
        self._server_times = server_times
        self._rates_bps = rates_bps
        self._interval_s = interval_s
        self._gap_s = gap_s
        self._planning = Plans(planner)
        self._ttl_s = time_to_live_s(policy.settings.ttl_intervals, interval_s)
        self._clients: dict[str, _Client] = {}
        self._loads: dict[str, ServerStats] = {}

    def register(
        self, client: str, graph: LayerGraph, client_s: Sequence[float], trajectory: Sequence[Fix]
    ) -> None:
        """Learn a client's DNN profile and the positions it had so far, oldest first."""
        positions = deque(((fix.x_m, fix.y_m) for fix in trajectory), self._predictor.memory)
        kept_s = kept_after_leaving_s(self._policy.settings, self._interval_s)
        holdings = Holdings(self._rates_bps[0] / 8, kept_s)
        profile = self._planning.profile(graph, np.array(client_s, dtype=float))
        self._clients[client] = _Client(profile, positions, holdings)

    def measured(self, client: str, rates_bps: Rates) -> None:
        """Learn the goodput of a client's link to where it is."""
        self._clients[client].rates_bps = rates_bps

    def begin_with(self, client: str, begins: Beginning) -> None:
        """Learn how a registered client stands when the run begins."""
        known = self._clients[client]
        known.server = begins.served_by
        known.holdings.begin_with(begins.believed)

    def choose(
        self, client: str, candidates: Sequence[str], loads: Loads | None = None
    ) -> tuple[str, CurrentPlan]:
        """Return the server and plan of least estimated time (section III.C.2).

        `candidates` are the servers of the visible access points, nearest first: among equals the
        nearest is chosen. The client is not there before it is associated.
        """
        plans = self._plans(client, candidates, loads)
        best = min(range(len(plans)), key=lambda number: plans[number].plan.latency_s)
        return candidates[best], plans[best]

    def associate(self, client: str, access_point: str) -> str:
        """The client is now at this access point; return the server that executes for it."""
        known = self._clients[client]
        known.access_point, known.rates_bps, known.told = access_point, None, None
        known.server = self._policy.serving(access_point, known.server)
        return known.server

    def attach(self, client: str, access_point: str, loads: Loads | None = None) -> CurrentPlan:
        """The client is now at this access point; return its current partitioning plan."""
        self.associate(client, access_point)
        return self.current_plan(client, loads)

    def current_plan(self, client: str, loads: Loads | None = None) -> CurrentPlan:
        """Return the plan of an associated client with its server, which it is told now."""
        known = self._clients[client]
        assert known.server is not None
        known.told = self.plan(client, known.server, loads)
        return known.told

    def replan(self, client: str, loads: Loads | None = None) -> tuple[CurrentPlan, bool]:
        """Plan again with the server of an associated client, for the present load and goodput.

        Returns the plan, and whether it is to be told since it has changed (section III.B.2).
        """
        told, now = self._clients[client].told, self.current_plan(client, loads)
        if told is None or now.differs_from(told):
            return now, True
        self._clients[client].told = told
        return now, False

    def predict(self, fix: Fix) -> Situation | None:
        """Take a client's position; return where it will be next, and what a policy asks of that.

        There is no prediction before the predictor's n positions are known.
        """
        client = self._clients[fix.client]
        client.trajectory.append((fix.x_m, fix.y_m))
        if client.access_point is None or client.server is None:
            return None
        client.holdings.at(client.server, fix.time_s)
        if len(client.trajectory) < self._predictor.n:
            return None
        recent = np.array([client.trajectory])  # (1, m, 2)
        x_m, y_m = self._predictor.predict(recent)[0]
        return Situation(
            current=client.access_point,
            prediction=Prediction(fix.client, fix.time_s, float(x_m), float(y_m)),
            around=partial(names_around, self._access_points, float(x_m), float(y_m)),
            plan=lambda server: self.plan(fix.client, server).upload,
            layer_bytes=client.profile.graph.weight_bytes.tolist(),
            ends_s=fix.time_s + self._interval_s,
            until_s=fix.time_s + self._ttl_s,
            visits=cache(
                lambda: visits(self._access_points, self._predictor.candidates(recent), 0)
            ),
            holdings=client.holdings,
            cold_start=lambda server: self.plan(fix.client, server).cold_start(
                self._gap_s, self._interval_s
            ),
        )

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers whose load should be asked before `offers`."""
        return self._policy.destinations(situation)

    def offers(self, situation: Situation, loads: Loads | None = None) -> list[Offer]:
        """Return what to migrate, with plans for the servers' present loads (section III.C.2)."""
        client = situation.prediction.client
        self._plans(client, self._policy.destinations(situation), loads)
        offers = self._policy.offers(situation)
        time_s = situation.prediction.time_s
        for offer in offers:
            situation.holdings.offer(offer.destination, time_s, offer.until_s)
        return offers

    def report(self, fix: Fix, loads: Loads | None = None) -> tuple[Prediction | None, list[Offer]]:
        """Take a client's position where no load need be asked: `predict`, and the `offers`."""
        situation = self.predict(fix)
        if situation is None:
            return None, []
        return situation.prediction, self.offers(situation, loads)

    def current(self, client: str) -> str | None:
        """Return the access point that a client is attached to."""
        return self._clients[client].access_point

    def image(self, client: str, holder: str | None) -> Image | None:
        """Return what the server of a client needs whole first; `holder` had it whole last."""
        weight_bytes = float(self._clients[client].profile.graph.weight_bytes.sum())
        return self._policy.image(weight_bytes, holder)

    def server(self, client: str) -> str | None:
        """Return the server that executes for a client."""
        return self._clients[client].server

    def plan(self, client: str, server: str, loads: Loads | None = None) -> CurrentPlan:
        """Return the (future) partitioning plan between a client and a server."""
        return self._plans(client, [server], loads)[0]

    def _plans(
        self, client: str, servers: Sequence[str], loads: Loads | None = None
    ) -> list[CurrentPlan]:
        """Return the plans between a client and servers.

        The link is measured where the client is.
        """
        self._loads.update(loads or {})
        if not servers:
            return []
        known = self._clients[client]
        stats = [self._loads.get(server, IDLE) for server in servers]
        server_s = self._server_times(known.profile.graph, stats)
        rates = [
            (server == known.server and known.rates_bps) or self._rates_bps for server in servers
        ]
        return self._planning.between(known.profile, server_s, rates)


def visits(
    access_points: Sequence[AccessPoint], nearby: Nearby, person: int
) -> dict[str, tuple[float, ...]]:
    """Return the probabilities of one person's visits by access point, the likeliest next first."""
    return {
        access_points[server].name: tuple(probability)
        for server, probability in zip(
            nearby.servers[person].tolist(), nearby.probability[person].tolist(), strict=True
        )
        if server >= 0
    }
