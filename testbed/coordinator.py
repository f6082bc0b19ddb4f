"""The master's decisions: predict, plan, choose (Fig. 3), without a network.

The emulated master calls it with what arrives on its sockets, the simulator with what happens in
virtual time; both carry out the offers that it returns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from testbed.dnn.graph import LayerGraph
from testbed.dnn.partition import Costs, Plan, shortest_path
from testbed.dnn.upload_order import upload_order
from testbed.policies import Policy, Situation
from testbed.values import AccessPoint, Fix, Offer, Prediction


class Predicts(Protocol):
    """A fitted mobility predictor."""

    def predict(self, recent: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the next positions, (b, 2), from the recent ones, (b, n, 2), oldest first."""


class CurrentPlan(msgspec.Struct, frozen=True):
    """What a client does at one server: where layers run, in which order they are uploaded."""

    plan: Plan
    upload: tuple[int, ...]  # server-side layers with weights, most efficient first
    server_s: tuple[float, ...]


@dataclass
class _Client:
    graph: LayerGraph
    client_s: npt.NDArray[np.float64]
    trajectory: deque[tuple[float, float]]
    access_point: str | None = None
    plans: dict[str, CurrentPlan] = field(default_factory=dict)


class Coordinator:
    """The master server's view of all clients.

    Args:
        access_points: all of them, with positions (the paper's Wi-Fi database).
        predictor: fitted; reads `trajectory_length` positions.
        policy: who gets which layers when.
        server_times: estimated time of each layer of a graph at a server, (n,) seconds.
        rates_bps: of the wireless link, (up, down).
        interval_s: between reports, and between prediction and predicted time.
        ttl_intervals: how long offered layers are held.
    """

    def __init__(
        self,
        *,
        access_points: Sequence[AccessPoint],
        predictor: Predicts,
        policy: Policy,
        server_times: Callable[[str, LayerGraph], npt.NDArray[np.float64]],
        rates_bps: tuple[float, float],
        trajectory_length: int,
        interval_s: float,
        ttl_intervals: int,
    ) -> None:
        self._access_points = tuple(access_points)
        self._predictor = predictor
        self._policy = policy
        self._server_times = server_times
        self._rates_bps = rates_bps
        self._trajectory_length = trajectory_length
        self._interval_s = interval_s
        self._ttl_s = ttl_intervals * interval_s
        self._clients: dict[str, _Client] = {}

    def register(
        self, client: str, graph: LayerGraph, client_s: Sequence[float], trajectory: Sequence[Fix]
    ) -> None:
        """Learn a client's DNN profile and the positions it had so far, oldest first."""
        positions = deque(((fix.x_m, fix.y_m) for fix in trajectory), self._trajectory_length)
        self._clients[client] = _Client(graph, np.array(client_s, dtype=float), positions)

    def attach(self, client: str, access_point: str) -> CurrentPlan:
        """The client is now at this access point; return its current partitioning plan."""
        self._clients[client].access_point = access_point
        return self.plan(client, access_point)

    def report(self, fix: Fix) -> tuple[Prediction | None, list[Offer]]:
        """Take a client's position; return where it will be next and what to migrate for that.

        There is no prediction before `trajectory_length` positions are known.
        """
        client = self._clients[fix.client]
        client.trajectory.append((fix.x_m, fix.y_m))
        if client.access_point is None or len(client.trajectory) < self._trajectory_length:
            return None, []
        x_m, y_m = self._predictor.predict(np.array([client.trajectory]))[0]
        prediction = Prediction(fix.client, fix.time_s, float(x_m), float(y_m))
        situation = Situation(
            current=client.access_point,
            prediction=prediction,
            access_points=self._access_points,
            plan=lambda server: self.plan(fix.client, server).upload,
            layer_bytes=client.graph.weight_bytes.tolist(),
            ends_s=fix.time_s + self._interval_s,
            until_s=fix.time_s + self._ttl_s,
        )
        return prediction, self._policy.offers(situation)

    def current(self, client: str) -> str | None:
        """Return the access point that a client is attached to."""
        return self._clients[client].access_point

    def plan(self, client: str, server: str) -> CurrentPlan:
        """Return the (future) partitioning plan between a client and a server.

        Plans are kept as long as the server's estimated times stay what they were.
        """
        known = self._clients[client]
        server_s = self._server_times(server, known.graph)
        key = tuple(server_s.tolist())
        cached = known.plans.get(server)
        if cached is None or cached.server_s != key:
            same = [plan for plan in known.plans.values() if plan.server_s == key]
            cached = same[0] if same else self._make_plan(known, server_s)
            known.plans[server] = cached
        return cached

    def _make_plan(self, client: _Client, server_s: npt.NDArray[np.float64]) -> CurrentPlan:
        up_bps, down_bps = self._rates_bps
        costs = Costs(client.client_s, server_s, up_bps, down_bps)
        plan = shortest_path(client.graph, costs)
        groups = upload_order(client.graph, costs, plan.mask)
        weight_bytes = client.graph.weight_bytes
        upload = tuple(layer for group in groups for layer in group if weight_bytes[layer])
        return CurrentPlan(plan, upload, tuple(server_s.tolist()))
