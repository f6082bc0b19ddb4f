"""What a query does at each stage of an upload, and which outputs those queries hand on.

While layers arrive one by one (section III.C.2), each makes another plan the best for a while: as
long as the next layer takes to arrive. Large layers make long stages, and short stages are met by
hardly any query.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import NamedTuple

from testbed.arrays import BoolArray
from testbed.dnn.graph import LayerGraph
from testbed.dnn.partitioning.partition import Costs, Plan, Planner
from testbed.dnn.partitioning.partitioner import best_plan
from testbed.dnn.partitioning.upload_order import available_layers, weighted_runs


class Stage(NamedTuple):
    """The planner's plan with the layers present; it ends once so many more bytes have arrived."""

    plan: Plan
    lasts_bytes: float  # of the layers that come next; infinite when all are there


def stages(
    graph: LayerGraph,
    costs: Costs,
    on_server: BoolArray,
    groups: Sequence[Sequence[int]],
    planner: Planner = best_plan,
) -> Iterator[Stage]:
    """Yield the stages of an upload from nothing to everything, one more than there are groups.

    The layers of the plan `on_server`, (n,), arrive in `groups` of layers with weights, in this
    order and each as a whole.
    """
    present: list[int] = []
    for arriving in (*groups, None):
        plan = planner(graph, costs, available_layers(graph, present, on_server))
        if arriving is None:
            yield Stage(plan, inf)
        else:
            yield Stage(plan, float(graph.weight_bytes[list(arriving)].sum()))
            present += arriving


def upload_stages(graph: LayerGraph, costs: Costs, planner: Planner = best_plan) -> Iterator[Stage]:
    """Yield the stages of uploading a plan's layers one by one, most efficient first."""
    on_server = planner(graph, costs, None).mask
    order = (layer for run in weighted_runs(graph, costs, on_server) for layer in run)
    return stages(graph, costs, on_server, [(layer,) for layer in order], planner)


def handed_on(graph: LayerGraph, passed: Iterable[Stage], share: float) -> frozenset[int]:
    """Return the layers whose outputs leave a segment of queries in at least this share of uploads.

    A query that meets one of these stages needs the outputs that are live after its segments. The
    stages are taken in the order of the bytes that they last for each byte of outputs that they
    add, until those taken last `share` of all; what is there when all layers are is always in.
    """
    last: dict[frozenset[int], float] = {}
    for stage in passed:
        needed = frozenset(
            producer
            for segment in stage.plan.segments()
            for producer in graph.live(segment.last + 1)
            if producer >= segment.first
        )
        last[needed] = last.get(needed, 0.0) + stage.lasts_bytes
    taken = {producer for needed, bytes_ in last.items() if bytes_ == inf for producer in needed}
    lacking = {needed: bytes_ for needed, bytes_ in last.items() if bytes_ != inf}
    most_left = (1 - share) * sum(lacking.values())

    def worth(item: tuple[frozenset[int], float]) -> float:
        needed, bytes_ = item
        return bytes_ / sum(map(graph.bytes_of, needed - taken))

    while True:
        lacking = {needed: bytes_ for needed, bytes_ in lacking.items() if not needed <= taken}
        if sum(lacking.values()) <= most_left:
            return frozenset(taken)
        taken |= max(lacking.items(), key=worth)[0]
