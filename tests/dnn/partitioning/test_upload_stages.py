"""What queries do while layers arrive, and which outputs they hand on."""

from __future__ import annotations

from math import inf, isinf

import numpy as np
import pytest

from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.graph import LayerGraph
from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import build_model
from testbed.dnn.partitioning.partition import Costs
from testbed.dnn.partitioning.partitioner import best_plan
from testbed.dnn.partitioning.upload_order import available_layers, weighted_runs
from testbed.dnn.partitioning.upload_stages import Stage, handed_on, upload_stages

Case = tuple[LayerGraph, Costs]


@pytest.fixture(scope="module", params=["inception", "mobilenet"])
def case(request: pytest.FixtureRequest) -> Case:
    module, examples = build_model(request.param, None, (1, 3, 224, 224))
    graph = capture(module, examples, request.param).graph
    client, server = device_profile("odroid-xu4"), device_profile("titan-xp")
    return graph, Costs(client.layer_times(graph), server.layer_times(graph), 35e6, 50e6)


def needed(graph: LayerGraph, stage: Stage) -> set[int]:
    """What the stage's segments make and something after them reads."""
    return {
        producer
        for segment in stage.plan.segments()
        for producer in graph.live(segment.last + 1)
        if segment.first <= producer <= segment.last
    }


def test_each_stage_is_the_best_plan_with_what_has_arrived(case: Case) -> None:
    graph, costs = case
    found = list(upload_stages(graph, costs))
    best = best_plan(graph, costs)
    order = [layer for run in weighted_runs(graph, costs, best.mask) for layer in run]
    assert len(found) == len(order) + 1
    for count in (0, 1, len(order) // 2, len(order) - 1):
        there = available_layers(graph, order[:count], best.mask)
        assert found[count].plan == best_plan(graph, costs, there)
        assert found[count].lasts_bytes == graph.weight_bytes[order[count]]
    assert found[-1] == (best, inf)
    latencies_s = [stage.plan.latency_s for stage in found]
    assert latencies_s == sorted(latencies_s, reverse=True)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999, 1.0])
def test_so_much_of_an_upload_finds_the_outputs_that_it_needs(case: Case, share: float) -> None:
    graph, costs = case
    met = list(upload_stages(graph, costs))
    kept = handed_on(graph, met, share)
    assert needed(graph, met[-1]) <= kept
    timed = [stage for stage in met if not isinf(stage.lasts_bytes)]
    found = sum(stage.lasts_bytes for stage in timed if needed(graph, stage) <= kept)
    assert found >= share * sum(stage.lasts_bytes for stage in timed) * (1 - 1e-12)
    everything = set().union(*(needed(graph, stage) for stage in met))
    assert kept <= everything
    assert (kept == everything) == (share == 1.0)


def test_the_last_share_of_an_upload_takes_most_of_the_memory(case: Case) -> None:
    graph, costs = case
    met = list(upload_stages(graph, costs))
    sizes = [
        sum(map(graph.bytes_of, handed_on(graph, met, share))) for share in (0.0, 0.9, 0.999, 1.0)
    ]
    assert sizes == sorted(set(sizes))
    assert sizes[1] < 0.25 * sizes[3]


def test_what_takes_no_time_is_met_by_no_query() -> None:
    module, examples = build_model("mobilenet", None, (1, 3, 224, 224))
    graph = capture(module, examples, "mobilenet").graph
    times_s = np.full(len(graph), 0.01)
    (only,) = upload_stages(graph, Costs(times_s, times_s, 1e6, 1e6))  # the server is no faster
    assert not any(only.plan.on_server)
    assert handed_on(graph, [only], 0.999) == set(graph.outputs)
