"""How long the DNN partitioner takes for Inception, beside peers: one group a question.

    .venv/bin/python -m pytest benchmarks/test_partitioning.py

In each group the last column of a figure's row is its ratio to the group's quickest.
"""

from __future__ import annotations

import itertools

import networkx as nx
import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from testbed.arrays import BoolArray
from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.graph import INPUT, LayerGraph
from testbed.dnn.models.published import published_graph
from testbed.dnn.partitioning.partition import Costs, latency, shortest_path
from testbed.dnn.partitioning.partitioner import best_plan, best_plans
from testbed.dnn.partitioning.upload_order import upload_order
from tests.dnn.graphs import plain_upload_order

SERVERS = 100


@pytest.fixture(scope="module")
def graph() -> LayerGraph:
    graph = published_graph("inception")
    best_plan(graph, costs_of(graph, 1.0))  # the network is built once a graph
    return graph


@pytest.fixture(scope="module")
def costs(graph: LayerGraph) -> Costs:
    return costs_of(graph, 1.0)


def costs_of(graph: LayerGraph, load: float) -> Costs:
    client_s = device_profile("odroid-xu4").layer_times(graph)
    return Costs(client_s, device_profile("titan-xp").layer_times(graph) * load, 35e6, 50e6)


def explicit_graph(graph: LayerGraph, costs: Costs) -> nx.DiGraph:
    """Fig. 5: each layer between two nodes at the client and two at the server."""
    network = nx.DiGraph()
    up_s, down_s = 8 * graph.live_bytes / costs.up_bps, 8 * graph.live_bytes / costs.down_bps
    for i in range(len(graph)):
        network.add_edge(("client", i, "in"), ("client", i, "out"), weight=costs.client_s[i])
        network.add_edge(("server", i, "in"), ("server", i, "out"), weight=costs.server_s[i])
        network.add_edge(("client", i, "in"), ("server", i, "in"), weight=up_s[i])
        network.add_edge(("server", i, "out"), ("client", i, "out"), weight=down_s[i + 1])
        for side in ("client", "server") if i else ():
            network.add_edge((side, i - 1, "out"), (side, i, "in"), weight=0.0)
    return network


def dijkstra_mask(network: nx.DiGraph, graph: LayerGraph) -> BoolArray:
    """Where the shortest path executes each layer, (n,)."""
    nodes = nx.dijkstra_path(network, ("client", 0, "in"), ("client", len(graph) - 1, "out"))
    on_server = np.zeros(len(graph), dtype=bool)
    for (side, layer, end), following in itertools.pairwise(nodes):
        if side == "server" and end == "in" and following == (side, layer, "out"):
            on_server[layer] = True
    return on_server


@pytest.mark.benchmark(group="shortest path, 312 layers")
class TestShortestPath:
    """Once times are known, the peer must put them on its edges before it can search."""

    def test_shortest_path(
        self, benchmark: BenchmarkFixture, graph: LayerGraph, costs: Costs
    ) -> None:
        plan = benchmark(shortest_path, graph, costs)
        assert (plan.mask == dijkstra_mask(explicit_graph(graph, costs), graph)).all()

    def test_networkx_graph_and_dijkstra(
        self, benchmark: BenchmarkFixture, graph: LayerGraph, costs: Costs
    ) -> None:
        benchmark(lambda: dijkstra_mask(explicit_graph(graph, costs), graph))

    def test_networkx_dijkstra_alone(
        self, benchmark: BenchmarkFixture, graph: LayerGraph, costs: Costs
    ) -> None:
        benchmark(dijkstra_mask, explicit_graph(graph, costs), graph)


@pytest.mark.benchmark(group="minimum cut, 312 layers")
class TestMinimumCut:
    @pytest.mark.parametrize("load", [1, 10, 150])
    def test_minimum_cut(self, benchmark: BenchmarkFixture, graph: LayerGraph, load: float) -> None:
        loaded = costs_of(graph, load)
        plan = benchmark(best_plan, graph, loaded)
        assert plan.latency_s <= shortest_path(graph, loaded).latency_s + 1e-9

    def test_networkx_minimum_cut(
        self, benchmark: BenchmarkFixture, graph: LayerGraph, costs: Costs
    ) -> None:
        network = nx.DiGraph()
        for i in range(len(graph)):
            network.add_edge("client", i, capacity=float(costs.server_s[i]))
            network.add_edge(i, "server", capacity=float(costs.client_s[i]))
        for producer in range(INPUT, len(graph)):
            tail = "client" if producer == INPUT else producer
            bits = 8 * graph.bytes_of(producer)
            network.add_edge(tail, ("up", producer), capacity=bits / costs.up_bps)
            network.add_edge(("down", producer), tail, capacity=bits / costs.down_bps)
            readers = [i for i, layer in enumerate(graph.layers) if producer in layer.inputs]
            for reader in [*readers, *(["client"] if producer in graph.outputs else [])]:
                network.add_edge(("up", producer), reader)
                network.add_edge(reader, ("down", producer))
        least_s, _ = benchmark.pedantic(
            nx.minimum_cut, (network, "client", "server"), rounds=3, iterations=1
        )
        assert best_plan(graph, costs).latency_s == pytest.approx(least_s, rel=1e-9)


@pytest.mark.benchmark(group="upload order, 312 layers")
class TestUploadOrder:
    def test_upload_order(
        self, benchmark: BenchmarkFixture, graph: LayerGraph, costs: Costs
    ) -> None:
        order = benchmark(upload_order, graph, costs, best_plan(graph, costs).mask)
        assert sorted(i for run in order for i in run) == list(range(len(graph)))

    def test_plain_upload_order(
        self, benchmark: BenchmarkFixture, graph: LayerGraph, costs: Costs
    ) -> None:
        mask = best_plan(graph, costs).mask
        plain = benchmark.pedantic(plain_upload_order, (graph, costs, mask), rounds=1, iterations=1)
        assert plain == upload_order(graph, costs, mask)


@pytest.mark.benchmark(group=f"plans for {SERVERS} servers, 312 layers")
class TestBatch:
    """Loads from idle to four times slower share one plan; up to 200 times, hardly any two do."""

    @pytest.mark.parametrize("slowest", [4, 200])
    def test_one_batch(
        self, benchmark: BenchmarkFixture, graph: LayerGraph, costs: Costs, slowest: float
    ) -> None:
        server_s = self.servers(costs, slowest)
        plans = benchmark(best_plans, graph, costs.client_s, server_s, 35e6, 50e6)
        for plan, times_s in zip(plans, server_s, strict=True):
            alone = Costs(costs.client_s, times_s, 35e6, 50e6)
            assert plan.latency_s == pytest.approx(latency(graph, alone, plan.mask))

    def test_one_by_one(self, benchmark: BenchmarkFixture, graph: LayerGraph, costs: Costs) -> None:
        server_s = self.servers(costs, 4)
        benchmark(
            lambda: [best_plan(graph, Costs(costs.client_s, row, 35e6, 50e6)) for row in server_s]
        )

    def servers(self, costs: Costs, slowest: float) -> np.ndarray:
        loads = np.random.default_rng(1).uniform(1, slowest, (SERVERS, 1))
        return costs.server_s * loads
