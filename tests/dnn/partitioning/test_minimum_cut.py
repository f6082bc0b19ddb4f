from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from testbed.dnn.graph import INPUT, Layer, LayerGraph, TensorSpec
from testbed.dnn.partitioning.minimum_cut import minimum_cut
from testbed.dnn.partitioning.partition import Costs, latency, shortest_path
from testbed.dnn.partitioning.partitioner import best_plan, best_plans
from tests.dnn.graphs import assignments, least_latency, random_costs, random_graph


def small_graphs(seed: int, count: int) -> list[tuple[LayerGraph, Costs]]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        n = int(rng.integers(1, 9))
        rates = 10.0 ** rng.uniform(6, 9, 2)
        costs = random_costs(rng, n)
        costs = Costs(costs.client_s, costs.server_s, *rates) if number % 3 else costs
        found.append((random_graph(rng, n, chain=bool(number % 2)), costs))
    return found


def test_the_cut_is_optimal_on_thousands_of_chains_and_dags() -> None:
    """The path is optimal on chains too, and elsewhere never better than the cut."""
    lost = 0
    for graph, costs in small_graphs(seed=1, count=3000):
        least_s = least_latency(graph, costs)
        cut, path = minimum_cut(graph, costs), shortest_path(graph, costs)
        assert cut.latency_s == pytest.approx(least_s, rel=1e-9)
        assert cut.latency_s == latency(graph, costs, cut.mask)
        assert path.latency_s >= least_s * (1 - 1e-9)
        is_chain = all(layer.inputs == (i - 1,) for i, layer in enumerate(graph.layers))
        if is_chain:
            assert path.latency_s == pytest.approx(least_s, rel=1e-9)
        lost += path.latency_s > least_s * (1 + 1e-6)
    assert lost > 50, "on some DAGs the linearised path must lose, or nothing was tested"


def test_only_available_layers_are_at_the_server() -> None:
    rng = np.random.default_rng(2)
    for graph, costs in small_graphs(seed=3, count=500):
        available = rng.random(len(graph)) < 0.5
        masks = assignments(len(graph))
        allowed = masks[~(masks & ~available).any(axis=1)]
        plan = minimum_cut(graph, costs, available)
        assert not (plan.mask & ~available).any()
        assert plan.latency_s == pytest.approx(least_latency(graph, costs, allowed), rel=1e-9)


def test_a_layer_follows_the_owner_of_its_weights() -> None:
    """The third layer is cheaper at the server, where the first, whose weights it reads, is not."""
    layers = (
        Layer("embed", "layer", (INPUT,), 1000, 10**9),
        Layer("wide", "layer", (0,), 1000, 10),
        Layer("tied", "layer", (1,), 0, 10, weights_of=(0,)),
    )
    graph = LayerGraph("tied", layers, (TensorSpec("x", (10**9,), "uint8"),), 10**9, (2,))
    costs = Costs(np.array([0.1, 0.1, 5.0]), np.array([0.1, 0.1, 0.1]), 50e6, 50e6)
    plan = best_plan(graph, costs)
    assert plan.on_server == (False, False, False)
    free = LayerGraph("free", (*layers[:2], Layer("own", "layer", (1,), 0, 10)), *_rest(graph))
    assert best_plan(free, costs).on_server == (False, False, True)


def _rest(graph: LayerGraph) -> tuple[tuple[TensorSpec, ...], int, tuple[int, ...]]:
    return graph.inputs, graph.input_bytes, graph.outputs


def test_a_skipped_tensor_is_sent_once() -> None:
    """Both branches read the big tensor, which the path would carry over at two boundaries."""
    layers = (
        Layer("first", "layer", (INPUT,), 0, 1_000_000),
        Layer("left", "layer", (0,), 0, 10),
        Layer("middle", "layer", (1,), 0, 10),
        Layer("right", "layer", (0, 2), 0, 10),
    )
    graph = LayerGraph("skip", layers, (TensorSpec("x", (10,), "uint8"),), 10, (3,))
    costs = Costs(np.array([0.0, 1.0, 0.1, 1.0]), np.array([9.0, 0.0, 0.6, 0.0]), 20e6, 20e6)
    # 0.4 s for the big tensor; "middle" is better back at the client, at next to no cost
    plan = minimum_cut(graph, costs)
    assert plan.on_server == (False, True, False, True)
    assert plan.latency_s == pytest.approx(0.5, abs=1e-3)
    assert shortest_path(graph, costs).latency_s == pytest.approx(1.0, abs=1e-3)


def test_a_latency_of_nanoseconds_beside_a_local_one_of_days() -> None:
    layers = (Layer("only", "layer", (INPUT,), 0, 0),)
    graph = LayerGraph("only", layers, (TensorSpec("x", (0,), "uint8"),), 0, (0,))
    plan = minimum_cut(graph, Costs(np.array([1e6]), np.array([1e-9]), 35e6, 50e6))
    assert plan.latency_s == 1e-9


@pytest.mark.parametrize("local_s", [0.0, 1e-320, 1e-12, 1e6])
def test_times_of_any_magnitude(local_s: float) -> None:
    graph = random_graph(np.random.default_rng(4), 6, chain=False)
    costs = Costs(np.full(6, local_s), np.full(6, local_s / 100), 35e6, 50e6)
    assert minimum_cut(graph, costs).latency_s == pytest.approx(least_latency(graph, costs))


def test_a_large_dag_equals_networkx() -> None:
    rng = np.random.default_rng(5)
    graph, costs = random_graph(rng, 120, chain=False), random_costs(rng, 120)
    network = nx.DiGraph()
    for i in range(len(graph)):
        network.add_edge("client", i, capacity=float(costs.server_s[i]))
        network.add_edge(i, "server", capacity=float(costs.client_s[i]))
    for producer in range(INPUT, len(graph)):
        readers = [i for i, layer in enumerate(graph.layers) if producer in layer.inputs]
        tail = "client" if producer == INPUT else producer
        bits = 8 * graph.bytes_of(producer)
        network.add_edge(tail, ("up", producer), capacity=bits / costs.up_bps)
        network.add_edge(("down", producer), tail, capacity=bits / costs.down_bps)
        for reader in [*readers, *(["client"] if producer in graph.outputs else [])]:
            network.add_edge(("up", producer), reader)  # without a capacity: infinite
            network.add_edge(reader, ("down", producer))
    least_s, _ = nx.minimum_cut(network, "client", "server")
    assert minimum_cut(graph, costs).latency_s == pytest.approx(least_s, rel=1e-9)


@pytest.mark.parametrize("spread", [1.05, 2.0, 50.0])
def test_a_batch_is_as_good_as_one_by_one(spread: float) -> None:
    rng = np.random.default_rng(6)
    for graph, costs in small_graphs(seed=7, count=150):
        servers = costs.server_s * rng.uniform(1, spread, (9, 1)) * rng.uniform(0.8, 1, (9, 1))
        servers[3:] *= rng.uniform(1 / spread, 1, servers[3:].shape)
        plans = best_plans(graph, costs.client_s, servers, costs.up_bps, costs.down_bps)
        for plan, server_s in zip(plans, servers, strict=True):
            alone = Costs(costs.client_s, server_s, costs.up_bps, costs.down_bps)
            assert plan.latency_s == pytest.approx(best_plan(graph, alone).latency_s, rel=1e-9)
            assert plan.latency_s == latency(graph, alone, plan.mask)
    assert best_plans(graph, costs.client_s, servers[:0], 1.0, 1.0) == []
