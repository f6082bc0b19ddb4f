"""Each planner has the best plan of its own kind, and none is better than the minimum cut."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from testbed.arrays import BoolArray
from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.graph import INPUT, Layer, LayerGraph, TensorSpec
from testbed.dnn.models.published import MODELS, published_graph
from testbed.dnn.partitioning.minimum_cut import minimum_cut
from testbed.dnn.partitioning.partition import Costs, Planner, latency, shortest_path
from testbed.dnn.partitioning.partitioner import plans_of
from testbed.dnn.partitioning.planners import (
    PLANNERS,
    STATIC,
    find_planner,
    path,
    planner_of,
    single_cut,
    static,
)
from testbed.dnn.partitioning.upload_order import weighted_runs
from testbed.dnn.partitioning.upload_stages import upload_stages
from testbed.errors import ConfigurationError
from testbed.settings.experiment import settings
from testbed.settings.kinds import described
from testbed.settings.offloads import Model
from tests.dnn.graphs import assignments, least_latency, random_costs, random_graph

Case = tuple[LayerGraph, Costs, BoolArray]


def cases(seed: int, count: int) -> list[Case]:
    """Random graphs of 1 to 8 layers, chains and others, costs, and what a server has."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        n = int(rng.integers(1, 9))
        costs = random_costs(rng, n)
        costs = Costs(costs.client_s, costs.server_s, *10.0 ** rng.uniform(6, 9, 2))
        available = rng.random(n) < rng.choice([0.5, 1.0])
        graph = random_graph(rng, n, chain=bool(number % 2))
        if number % 3 == 0 and n > 1:  # an earlier layer's output is part of the answer
            outputs = (int(rng.integers(0, n - 1)), n - 1)
            graph = LayerGraph("two", graph.layers, graph.inputs, graph.input_bytes, outputs)
        found.append((graph, costs, available))
    return found


def planners(graph: LayerGraph) -> dict[str, Planner]:
    cut = graph.layers[len(graph) // 2].name
    return {**PLANNERS, STATIC: partial(static, last_at_client=cut)}


def test_no_planner_is_better_than_the_minimum_cut() -> None:
    for graph, costs, available in cases(seed=1, count=1500):
        for there in (None, available):
            least_s = minimum_cut(graph, costs, there).latency_s
            for name, planner in planners(graph).items():
                plan = planner(graph, costs, there)
                assert plan.latency_s >= least_s * (1 - 1e-9), name
                assert plan.latency_s == latency(graph, costs, plan.mask), name
                assert there is None or not (plan.mask & ~there).any(), name


def test_one_cut_is_the_best_of_all_cuts() -> None:
    for graph, costs, available in cases(seed=2, count=500):
        n = len(graph)
        suffixes = np.arange(n) >= np.arange(n + 1)[:, np.newaxis]
        allowed = suffixes[~(suffixes & ~available).any(axis=1)]
        least_s = least_latency(graph, costs, allowed)
        assert single_cut(graph, costs, available).latency_s == pytest.approx(least_s, rel=1e-9)


def test_the_path_keeps_branches_together_and_is_optimal_on_chains() -> None:
    narrower = 0
    for graph, costs, _ in cases(seed=3, count=500):
        plan, masks = path(graph, costs), assignments(len(graph))
        changes = np.flatnonzero(np.diff(np.concatenate(([False], plan.mask, [False]))))
        inside = [b for b in changes.tolist() if 0 < b < len(graph)]
        assert all(len(graph.live(boundary)) == 1 for boundary in inside)
        if all(layer.inputs == (i - 1,) for i, layer in enumerate(graph.layers)) and (
            graph.outputs == (len(graph) - 1,)
        ):
            assert plan.latency_s == pytest.approx(least_latency(graph, costs, masks), rel=1e-9)
        narrower += plan.latency_s > shortest_path(graph, costs).latency_s * (1 + 1e-9)
    assert narrower > 5, "somewhere a change inside branches must pay, or nothing was tested"


def test_all_on_one_side_and_a_fixed_cut() -> None:
    for graph, costs, available in cases(seed=4, count=100):
        assert all(PLANNERS["all_server"](graph, costs, None).on_server)
        local = PLANNERS["all_client"](graph, costs, None)
        assert (local.server_layers, local.upload_bytes) == ((), 0)
        assert weighted_runs(graph, costs, local.mask) == []
        assert len(list(upload_stages(graph, costs, PLANNERS["all_client"]))) == 1
        for planner in (PLANNERS["all_server"], planners(graph)[STATIC]):
            whole, part = planner(graph, costs, None).mask, planner(graph, costs, available).mask
            assert (part == whole).all() or not part.any(), "all of it or nothing"
        halves = planners(graph)[STATIC](graph, costs, None).mask
        assert halves.tolist() == [i > len(graph) // 2 for i in range(len(graph))]


def test_a_fixed_cut_does_not_follow_the_network() -> None:
    graph = random_graph(np.random.default_rng(5), 6, chain=True)
    slow, fast = (Costs(np.ones(6), np.full(6, 0.01), rate, rate) for rate in (1e3, 1e12))
    fixed = find_planner(STATIC, "layer2")
    assert fixed(graph, slow, None).on_server == fixed(graph, fast, None).on_server
    assert minimum_cut(graph, slow).on_server != minimum_cut(graph, fast).on_server


def test_shared_weights_are_never_torn_apart() -> None:
    layers = (
        Layer("embed", "layer", (INPUT,), 1000, 1000),
        Layer("wide", "layer", (0,), 1000, 10),
        Layer("tied", "layer", (1,), 0, 10, weights_of=(0,)),
    )
    graph = LayerGraph("tied", layers, (TensorSpec("x", (10,), "uint8"),), 10, (2,))
    costs = Costs(np.array([0.001, 5.0, 5.0]), np.array([99.0, 0.1, 0.1]), 50e6, 50e6)
    assert single_cut(graph, costs).on_server == (False, False, False)
    assert path(graph, costs).on_server == (False, True, False)
    assert static(graph, costs, last_at_client="embed").on_server == (False, True, False)


@pytest.mark.parametrize("model", MODELS)
def test_planners_on_the_papers_models(model: str) -> None:
    """At the paper's rates the models' branches do not matter, and one cut suffices."""
    graph = published_graph(model)
    client, server = (
        device_profile(name).layer_times(graph) for name in ("odroid-xu4", "titan-xp")
    )
    costs = Costs(client, server, 35e6, 50e6)
    least_s = minimum_cut(graph, costs).latency_s
    for name in ("path", "single_cut"):
        assert PLANNERS[name](graph, costs, None).latency_s < 1.01 * least_s
    assert PLANNERS["all_client"](graph, costs, None).latency_s > least_s


def test_plans_of_many_servers_are_those_of_each() -> None:
    rng = np.random.default_rng(6)
    graph, costs = random_graph(rng, 20, chain=False), random_costs(rng, 20)
    loads = np.outer(rng.uniform(1, 100, 10), costs.server_s)
    for planner in planners(graph).values():
        plans = plans_of(planner, graph, costs.client_s, loads, 35e6, 50e6)
        for times_s, plan in zip(loads, plans, strict=True):
            alone = planner(graph, Costs(costs.client_s, times_s, 35e6, 50e6), None)
            assert plan.latency_s == pytest.approx(alone.latency_s, rel=1e-9)


def test_the_setting_names_every_planner() -> None:
    (field,) = (field for path, field in settings() if path == "model.planner")
    assert described(field.type).replace(" or ", ", ").split(", ") == sorted([*PLANNERS, STATIC])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Model(planner="static"), "model.static_cut: the planner static needs"),
        (Model(static_cut="conv1"), "'conv1' is for the planner static, not for minimum_cut"),
    ],
)
def test_a_cut_belongs_to_the_planner_static_alone(model: Model, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        planner_of(model)


def test_an_unknown_layer_is_refused_with_a_suggestion() -> None:
    graph = random_graph(np.random.default_rng(7), 3, chain=True)
    with pytest.raises(ConfigurationError, match=r"no layer 'layer9'; did you mean 'layer\d'"):
        static(graph, random_costs(np.random.default_rng(7), 3), last_at_client="layer9")
