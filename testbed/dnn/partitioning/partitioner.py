"""The DNN partitioner (section III.C): the plan that everything else asks for.

It is the minimum cut, which is optimal for every graph and takes about 0.1 ms for Inception. The
paper's shortest path (`partition.shortest_path`) is optimal on chains only, and is kept as what the
paper does and as the measure of efficiency in `upload_order`. Other systems' planners are in
`planners`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from testbed.arrays import BoolArray, FloatArray
from testbed.dnn.graph import LayerGraph
from testbed.dnn.partitioning.minimum_cut import minimum_cut
from testbed.dnn.partitioning.partition import Costs, Plan, Planner, plan_of


def best_plan(graph: LayerGraph, costs: Costs, available: BoolArray | None = None) -> Plan:
    """Return a plan of least latency; `available`, (n,), says which layers the server has."""
    return minimum_cut(graph, costs, available)


def plans_of(
    planner: Planner,
    graph: LayerGraph,
    client_s: FloatArray,
    server_s: FloatArray,
    up_bps: float,
    down_bps: float,
) -> list[Plan]:
    """Return a planner's plan for each of many servers: `best_plans` where it is the best."""
    if planner in (best_plan, minimum_cut):
        return best_plans(graph, client_s, server_s, up_bps, down_bps)
    costs = (Costs(client_s, times_s, up_bps, down_bps) for times_s in server_s)
    return [planner(graph, each, None) for each in costs]


def best_plans(
    graph: LayerGraph, client_s: FloatArray, server_s: FloatArray, up_bps: float, down_bps: float
) -> list[Plan]:
    """Return a plan of least latency for each of many servers that differ in their times only.

    A plan that is optimal for the least time of each layer, and also for the greatest, is optimal
    for all servers between: layers join it only where times fall, and leave it only where they rise
    (latency is submodular in the set of server-side layers). Servers of like load share two cuts.
    Times are seconds of each layer, (n,) at the client and (servers, n) at the servers.
    """
    masks = np.zeros(server_s.shape, dtype=bool)

    def cut(times_s: FloatArray) -> BoolArray:
        return best_plan(graph, Costs(client_s, times_s, up_bps, down_bps)).mask

    def decide(servers: npt.NDArray[np.intp]) -> None:
        least, greatest = server_s[servers].min(axis=0), server_s[servers].max(axis=0)
        on_server = cut(least)
        if len(servers) == 1 or (on_server == cut(greatest)).all():
            masks[servers] = on_server
            return
        half = len(servers) // 2
        decide(servers[:half])
        decide(servers[half:])

    if len(server_s):
        decide(np.argsort(server_s.sum(axis=1)))
    return [
        plan_of(graph, Costs(client_s, times_s, up_bps, down_bps), on_server)
        for times_s, on_server in zip(server_s, masks, strict=True)
    ]
