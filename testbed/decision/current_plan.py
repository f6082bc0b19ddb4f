"""The current partitioning plan of one client with one server (section III.B.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from testbed.dnn.graph import LayerGraph
from testbed.dnn.partitioning.cold_start import ColdStart, cold_start
from testbed.dnn.partitioning.partition import Costs, Plan, Planner
from testbed.dnn.partitioning.partitioner import best_plan
from testbed.dnn.partitioning.upload_order import weighted_runs

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
