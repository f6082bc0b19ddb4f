"""The steps of a query cost what the cost model says."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.dnn.partitioning.partition import Segment, latency, plan_of
from testbed.dnn.partitioning.partitioner import best_plan
from testbed.dnn.partitioning.upload_order import available_layers
from testbed.simulation.offloading import Offloading
from tests.dnn.graphs import random_costs, random_graph


@pytest.mark.parametrize("seed", range(30))
def test_steps_of_any_assignment_add_up_to_its_latency(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, int(rng.integers(1, 30)), chain=False)
    offloading = Offloading(graph, random_costs(rng, len(graph)))
    mask = rng.random(len(graph)) < rng.random()
    steps = offloading.steps_of(plan_of(graph, offloading.costs, mask).segments())
    expected = latency(graph, offloading.costs, mask)
    assert offloading.latency_s(steps) == pytest.approx(expected, rel=1e-12)
    assert [layer for step in steps for layer in step.layers] == list(range(len(graph)))


@pytest.mark.parametrize("seed", range(20))
def test_a_query_takes_the_best_plan_for_what_is_present(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, 12, chain=False)
    offloading = Offloading(graph, random_costs(rng, 12))
    wanted = [layer for run in offloading.runs() for layer in run]
    present = [layer for layer in wanted if rng.random() < 0.5]
    available = available_layers(graph, present, offloading.plan.mask)
    best = best_plan(graph, offloading.costs, available)
    steps = offloading.steps(present)
    assert offloading.latency_s(steps) == pytest.approx(best.latency_s, rel=1e-12)
    executed = {layer for step in steps if step.on_server for layer in step.layers}
    assert executed <= set(np.flatnonzero(available).tolist())
    everything = offloading.latency_s(offloading.steps(wanted))
    assert everything == pytest.approx(offloading.plan.latency_s, rel=1e-12)


def test_runs_hold_the_plans_layers_with_weights_once() -> None:
    rng = np.random.default_rng(5)
    graph = random_graph(rng, 20, chain=False)
    offloading = Offloading(graph, random_costs(rng, 20))
    layers = [layer for run in offloading.runs() for layer in run]
    expected = np.flatnonzero(offloading.plan.mask & (graph.weight_bytes > 0)).tolist()
    assert sorted(layers) == expected


def test_nothing_crosses_at_the_client() -> None:
    rng = np.random.default_rng(2)
    graph = random_graph(rng, 6, chain=True)
    offloading = Offloading(graph, random_costs(rng, 6))
    (step,) = offloading.steps_of((Segment(False, 0, 5),))
    assert (step.up_bytes, step.down_bytes, step.returned) == (0, 0, ())
    assert step.execution_s == pytest.approx(float(offloading.costs.client_s.sum()))
