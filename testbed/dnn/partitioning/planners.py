"""The planners of the systems that the paper compares or names (sections III.C and V.B).

Each takes a graph, its costs, and which layers the server has, and returns the best plan of its own
kind by the one cost model of `partition`. While layers of its plan are missing, it may have no
other plan than the client alone. No plan takes less time than `minimum_cut`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache, partial

import numpy as np

from testbed.arrays import BoolArray
from testbed.dnn.graph import INPUT, LayerGraph
from testbed.dnn.partitioning.minimum_cut import minimum_cut
from testbed.dnn.partitioning.partition import Costs, Plan, Planner, plan_of, shortest_path
from testbed.errors import ConfigurationError, unknown_name
from testbed.settings.offloads import Model

STATIC = "static"


def path(graph: LayerGraph, costs: Costs, available: BoolArray | None = None) -> Plan:
    """Return the shortest path that changes sides only beside layers that all paths share.

    Jeong et al., IONN, SoCC 2018: at such a boundary one tensor alone is needed later. Layers
    between two of them, such as the branches of an inception module, stay together.
    """
    return shortest_path(graph, costs, available, _single_boundaries(graph))


def single_cut(graph: LayerGraph, costs: Costs, available: BoolArray | None = None) -> Plan:
    """Return the best plan with one cut: first layers at the client, the others at the server.

    Kang et al., NeuroSurgeon, ASPLOS 2017. All that lies behind the cut must be at the server, so
    an upload is of use once the last layers are there.
    """
    execution_s = np.append(costs.server_s[::-1].cumsum()[::-1], 0.0)
    execution_s[1:] += costs.client_s.cumsum()
    up_bytes, down_bytes = _cut_bytes(graph)
    latency_s = execution_s + 8.0 * (up_bytes / costs.up_bps + down_bytes / costs.down_bps)
    latency_s[~_possible_cuts(graph, available)] = np.inf
    return plan_of(graph, costs, np.arange(len(graph)) >= int(latency_s.argmin()))


def all_server(graph: LayerGraph, costs: Costs, available: BoolArray | None = None) -> Plan:
    """Return the plan with all layers at the server, once it has all of them."""
    return _once_there(graph, costs, np.ones(len(graph), dtype=bool), available)


def all_client(graph: LayerGraph, costs: Costs, available: BoolArray | None = None) -> Plan:
    """Return the plan without a server: nothing is uploaded."""
    return plan_of(graph, costs, np.zeros(len(graph), dtype=bool))


def static(
    graph: LayerGraph, costs: Costs, available: BoolArray | None = None, *, last_at_client: str
) -> Plan:
    """Return the plan with a cut behind the layer of this name, whatever the network and the load.

    Teerapittayanon et al., Distributed Deep Neural Networks, ICDCS 2017: a model is divided once.
    The server executes its part once it has all of it. A layer that reads weights of a layer before
    the cut is before it too. Raises ConfigurationError if the graph has no such layer.
    """
    on_server = np.arange(len(graph)) > layer_index(graph, last_at_client)
    for layer, owner in graph.weight_sharing:
        on_server[layer] &= on_server[owner]
    return _once_there(graph, costs, on_server, available)


#: Those that no further setting belongs to.
PLANNERS: Mapping[str, Planner] = {
    "minimum_cut": minimum_cut,
    "path": path,
    "single_cut": single_cut,
    "all_server": all_server,
    "all_client": all_client,
}


def planner_of(model: Model) -> Planner:
    """Return the planner that a model's settings name.

    Raises ConfigurationError if it is `static` without `model.static_cut`, or another one with it.
    """
    return find_planner(model.planner, model.static_cut, "model.static_cut")


@cache
def find_planner(name: str, cut: str | None = None, setting: str = "--static-cut") -> Planner:
    """Return a planner by its name; `cut` is the last layer at the client, and of `static` alone.

    Raises ConfigurationError: there is no such planner, or a cut where none belongs, or none where
    one does; `setting` is what the cut is called.
    """
    if name == STATIC:
        if cut is None:
            raise ConfigurationError(
                f"{setting}: the planner static needs the name of the last layer that clients"
                " execute; testbed plan --json names a model's layers"
            )
        return partial(static, last_at_client=cut)
    if name not in PLANNERS:
        raise ConfigurationError(unknown_name("planner", name, (*PLANNERS, STATIC)))
    if cut is not None:
        raise ConfigurationError(
            f"{setting}: {cut!r} is for the planner static, not for {name}; leave it out, or choose"
            " static"
        )
    return PLANNERS[name]


def layer_index(graph: LayerGraph, name: str) -> int:
    """Return the index of the first layer of this name.

    Raises ConfigurationError, with a suggestion, if there is none.
    """
    names = [layer.name for layer in graph.layers]
    if name not in names:
        close = get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigurationError(
            f"model.static_cut (--static-cut): {graph.model} has no layer {name!r}; {hint}its"
            f" {len(names)} layers, from {names[0]!r} to {names[-1]!r}, are named by testbed plan"
            " --json"
        )
    return names.index(name)


def _once_there(
    graph: LayerGraph, costs: Costs, on_server: BoolArray, available: BoolArray | None
) -> Plan:
    missing = available is not None and bool((on_server & ~available).any())
    return plan_of(graph, costs, np.zeros_like(on_server) if missing else on_server)


def _possible_cuts(graph: LayerGraph, available: BoolArray | None) -> BoolArray:
    """Return before which layers a cut may be, (n + 1,): those behind it are at the server."""
    possible = np.ones(len(graph) + 1, dtype=bool)
    if available is not None:
        possible[:-1] = np.logical_and.accumulate(available[::-1])[::-1]
    for layer, owner in graph.weight_sharing:  # not between the two
        possible[owner + 1 : layer + 1] = False
    return possible


def _cut_bytes(graph: LayerGraph) -> tuple[np.ndarray, np.ndarray]:
    """Return the bytes that go up, and down, at a cut before each layer, (n + 1,) each.

    Up goes what a later layer reads, down what is part of the answer and made behind the cut.
    """
    found = graph.derived.get("cut_bytes")
    if found is None:
        n = len(graph)
        last_read: dict[int, int] = {}
        for reader, layer in enumerate(graph.layers):
            last_read.update(dict.fromkeys(layer.inputs, reader))
        up_bytes, down_bytes = np.zeros(n + 1), np.zeros(n + 1)
        for producer, last in last_read.items():
            up_bytes[producer + 1 : last + 1] += graph.bytes_of(producer)
        for producer in set(graph.outputs) - {INPUT}:
            down_bytes[: producer + 1] += graph.bytes_of(producer)
        found = graph.derived["cut_bytes"] = up_bytes, down_bytes
    return found


def _single_boundaries(graph: LayerGraph) -> BoolArray:
    """Return at which boundaries one tensor alone is live, or a query begins or ends, (n + 1,)."""
    found = graph.derived.get("single_boundaries")
    if found is None:
        found = np.array([len(graph.live(boundary)) == 1 for boundary in range(len(graph) + 1)])
        found[[0, -1]] = True
        graph.derived["single_boundaries"] = found
    return found
