"""The plan of least latency of all, as a minimum cut (cf. C. Hu et al., DADS, INFOCOM 2019).

Every assignment of layers to sides is a cut of one network, and its latency the cut's capacity: the
client is the source, the server the sink, and a layer on the sink's side executes at the server.

    client -> layer   the layer's time at the server, cut when the layer is there
    layer -> server   the layer's time at the client, cut when the layer stays
    p -> reader       the way up of p's tensor, cut when p is at the client and its reader is not
    reader -> p       the way down, cut in the opposite case

A tensor with several readers goes by a node of its own in either direction, tied to the readers by
edges that cannot be cut, so that it is counted once. The query's input and whoever takes the answer
are the client itself.
"""

from __future__ import annotations

from math import ceil, log2

import igraph
import numpy as np

from testbed.arrays import BoolArray
from testbed.dnn.graph import INPUT, LayerGraph
from testbed.dnn.partitioning.partition import Costs, Plan, plan_of

_DOUBLE_BITS = 53  # integers up to 2**53 are exact in a double
_NOTHING_S = 1e-200  # a model that takes no longer at the client has nothing to gain


def minimum_cut(graph: LayerGraph, costs: Costs, available: BoolArray | None = None) -> Plan:
    """Return a plan of least latency among all assignments, with server layers where `available`.

    Optimal for every graph, chain or not, under the cost model of `partition`, but for rounding:
    times count in whole units, 2**40 of which are the local latency for a graph of a thousand edges
    (3 ps for queries of seconds). `available`, (n,), says which layers the server has; all by
    default. A layer that reads another layer's weights is at the server only where that one is.
    """
    network = graph.derived.get("cut_network")
    if network is None:
        network = graph.derived["cut_network"] = CutNetwork(graph)
    return plan_of(graph, costs, network.on_server(costs, available))


class CutNetwork:
    """The flow network of one graph; times and rates only change its capacities."""

    def __init__(self, graph: LayerGraph) -> None:
        n = len(graph)
        self._layers, self._client, self._server = n, n, n + 1
        self._nodes = n + 2
        self._up: list[tuple[int, int, int]] = []  # tail, head, bytes
        self._down: list[tuple[int, int, int]] = []
        self._tied = [(owner, layer) for layer, owner in graph.weight_sharing]
        for producer, readers in _readers(graph).items():
            self._connect(producer, readers, graph.bytes_of(producer))
        edges = [(self._client, layer) for layer in range(n)]
        edges += [(layer, self._server) for layer in range(n)]
        edges += [(tail, head) for tail, head, _ in (*self._up, *self._down)]
        edges += self._tied
        self._graph = igraph.Graph(self._nodes, edges, directed=True)
        self._up_bits = np.array([8.0 * size for *_, size in self._up])
        self._down_bits = np.array([8.0 * size for *_, size in self._down])
        # All capacities are integers, and no sum of them exceeds what a double holds exactly; what
        # exceeds the cost of staying at the client is never cut
        self._local_units = 2.0 ** (_DOUBLE_BITS - 1 - ceil(log2(2 * len(edges))))
        self._uncuttable = 2 * self._local_units

    def on_server(self, costs: Costs, available: BoolArray | None) -> BoolArray:
        """Return which layers a minimum cut puts at the server, (n,)."""
        seconds = np.concatenate(
            (
                costs.server_s,
                costs.client_s,
                self._up_bits / costs.up_bps,
                self._down_bits / costs.down_bps,
                np.full(len(self._tied), np.inf),
            )
        )
        if available is not None:
            seconds[: self._layers][~available] = np.inf
        local_s = float(costs.client_s.sum())
        if local_s <= _NOTHING_S:
            return np.zeros(self._layers, dtype=bool)
        units = np.rint(np.minimum(seconds * (self._local_units / local_s), self._uncuttable))
        # Without what igraph makes of it in Python, which takes as long as the cut
        _, _, at_client, _ = igraph.GraphBase.mincut(
            self._graph, self._client, self._server, units.tolist()
        )
        assert self._client in at_client
        on_server = np.ones(self._nodes, dtype=bool)
        on_server[at_client] = False
        return on_server[: self._layers]

    def _connect(self, producer: int, readers: set[int], size: int) -> None:
        """Add what one tensor costs; readers are nodes, the client among them for the answer."""
        tail = self._client if producer == INPUT else producer
        ends = {self._client if reader == self._layers else reader for reader in readers} - {tail}
        if len(ends) > 1:
            shared_up, shared_down = self._nodes, self._nodes + 1
            self._nodes += 2
            self._up.append((tail, shared_up, size))
            self._down.append((shared_down, tail, size))
            self._tied += [(shared_up, end) for end in ends]
            self._tied += [(end, shared_down) for end in ends]
        else:
            self._up += [(tail, end, size) for end in ends]
            self._down += [(end, tail, size) for end in ends]


def _readers(graph: LayerGraph) -> dict[int, set[int]]:
    """Producer -> the layers that read its tensor; n stands for whoever takes the answer."""
    readers: dict[int, set[int]] = {}
    for producer, consumer in zip(*(ends.tolist() for ends in graph.edges), strict=True):
        readers.setdefault(producer, set()).add(consumer)
    return readers
