"""The current partitioning plan of one client with one server (section III.B.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from testbed.arrays import FloatArray
from testbed.dnn.graph import LayerGraph
from testbed.dnn.partitioning.cold_start import ColdStart, cold_start
from testbed.dnn.partitioning.partition import Costs, Plan, Planner
from testbed.dnn.partitioning.partitioner import best_plan, plans_of
from testbed.dnn.partitioning.upload_order import weighted_runs

Rates = tuple[float, float]  # of a wireless link, (up, down) bit/s

_KEPT = 1000  # plans; a client at a loaded server has another one at each report
#: The share by which the times at a server must have changed for its clients to be told.
TOLD_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class CurrentPlan:
    """What a client does at one server: where layers run, in which order they are uploaded."""

    graph: LayerGraph
    costs: Costs
    plan: Plan
    planner: Planner = best_plan  # that made it
    _cold_starts: dict[tuple[float, float], ColdStart] = field(default_factory=dict, init=False)

    @cached_property
    def groups(self) -> list[tuple[int, ...]]:
        """The server-side layers with weights, in the groups that are uploaded together."""
        return weighted_runs(self.graph, self.costs, self.plan.mask)

    @cached_property
    def upload(self) -> tuple[int, ...]:
        """The server-side layers with weights, most efficient first."""
        return tuple(layer for group in self.groups for layer in group)

    def cold_start(self, gap_s: float, within_s: float) -> ColdStart:
        """Return the queries within a time after arrival, by how much of the plan is there."""
        asked = gap_s, within_s
        if asked not in self._cold_starts:
            self._cold_starts[asked] = cold_start(
                self.graph,
                self.costs,
                self.plan.mask,
                self.groups,
                gap_s=gap_s,
                within_s=within_s,
                planner=self.planner,
            )
        return self._cold_starts[asked]

    def differs_from(self, other: CurrentPlan) -> bool:
        """Return whether a client that goes by the other plan is to be told this one.

        It is where layers run elsewhere, are uploaded in another order, or take another time at the
        server by more than `TOLD_SHARE`: by these times it executes what is there.
        """
        if self is other:
            return False
        takes_s, took_s = float(self.costs.server_s.sum()), float(other.costs.server_s.sum())
        return (
            abs(takes_s - took_s) > TOLD_SHARE * took_s
            or self.plan.on_server != other.plan.on_server
            or self.upload != other.upload
        )

    @cached_property
    def server_s(self) -> tuple[float, ...]:
        """Estimated time of each layer at the server, (n,) seconds."""
        return tuple(self.costs.server_s.tolist())


@dataclass(frozen=True, eq=False)
class Profile:
    """What is offloaded, and from what: equal clients have the same one."""

    graph: LayerGraph
    client_s: FloatArray  # time of each layer on the client, (n,) seconds


class Plans:
    """The plans of all clients, by what they are made for, as long as they are asked for.

    Clients of the same profile share them, and so do servers of equal times, such as idle ones.
    """

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._profiles: list[Profile] = []
        self._made: dict[tuple[Profile, Rates, bytes], CurrentPlan] = {}  # asked for last at last

    def profile(self, graph: LayerGraph, client_s: FloatArray) -> Profile:
        """Return the profile of a client."""
        for known in self._profiles:
            if known.graph == graph and np.array_equal(known.client_s, client_s):
                return known
        self._profiles.append(Profile(graph, client_s))
        return self._profiles[-1]

    def between(
        self, profile: Profile, server_s: FloatArray, rates_bps: Sequence[Rates]
    ) -> list[CurrentPlan]:
        """Return a client's plans with servers of these times, (servers, n), and links to them.

        Those that are new are made together.
        """
        keys = [
            (profile, rates, times_s.tobytes())
            for times_s, rates in zip(server_s, rates_bps, strict=True)
        ]
        new = {
            key: times_s
            for key, times_s in zip(keys, server_s, strict=True)
            if key not in self._made
        }
        for rates in {rates for _, rates, _ in new}:
            alike = {key: times_s for key, times_s in new.items() if key[1] == rates}
            self._make(profile, rates, alike)
        for key in keys:
            self._made[key] = self._made.pop(key)
        found = [self._made[key] for key in keys]
        while len(self._made) > _KEPT:
            del self._made[next(iter(self._made))]
        return found

    def _make(
        self,
        profile: Profile,
        rates: Rates,
        server_s: dict[tuple[Profile, Rates, bytes], FloatArray],
    ) -> None:
        graph, client_s, planner = profile.graph, profile.client_s, self._planner
        plans = plans_of(planner, graph, client_s, np.array([*server_s.values()]), *rates)
        for (key, times_s), plan in zip(server_s.items(), plans, strict=True):
            costs = Costs(client_s, times_s, *rates)
            self._made[key] = CurrentPlan(graph, costs, plan, planner)
