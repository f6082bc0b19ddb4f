"""An attachment in virtual time against closed forms and a simulation in small steps."""

from __future__ import annotations

from dataclasses import replace
from math import floor, inf

import numpy as np
import pytest

from testbed.dnn.graph import Layer, LayerGraph, TensorSpec
from testbed.dnn.partitioning.partition import Costs
from testbed.simulation.exact_attachment import (
    Sharing,
    SimulatedAttachment,
    answered_by,
    raised_before,
    simulate,
)
from testbed.simulation.offloading import Offloading
from tests.dnn.graphs import random_costs, random_graph
from tests.simulation.small_steps import STEP_S, step_through


def some(seed: int, n: int = 8) -> tuple[Offloading, np.random.Generator]:
    """An offloading of a random graph whose server side has something to upload."""
    rng = np.random.default_rng(seed)
    while True:
        graph = random_graph(rng, n, chain=False)
        offloading = Offloading(graph, random_costs(rng, n))
        if len(offloading.runs()) > 1:
            return offloading, rng


def layers_of(offloading: Offloading) -> list[tuple[int, ...]]:
    return [(layer,) for run in offloading.runs() for layer in run]


def chain() -> Offloading:
    """Two layers: 1 s and 2 s at the client, 0.1 and 0.2 s at the server, 1 and 2 MB of weights.

    At 8 Mbit/s a megabyte takes a second; the input has 0.5 MB, the outputs 10 kB.
    """
    layers = (
        Layer("a", "layer", (-1,), 1_000_000, 10_000),
        Layer("b", "layer", (0,), 2_000_000, 10_000),
    )
    graph = LayerGraph("two", layers, (TensorSpec("x", (500_000,), "uint8"),), 500_000, (1,))
    return Offloading(graph, Costs(np.array([1.0, 2.0]), np.array([0.1, 0.2]), 8e6, 8e6))


@pytest.mark.parametrize("sharing", ["separate", "shared"])
@pytest.mark.parametrize("seed", range(8))
def test_it_equals_a_simulation_in_small_steps(seed: int, sharing: Sharing) -> None:
    offloading, rng = some(seed)
    upload = offloading.runs() if seed % 2 else layers_of(offloading)
    flat = [layer for group in upload for layer in group]
    first, last = flat[0], flat[-1]
    settings = SimulatedAttachment(
        duration_s=8.0,
        upload=upload,
        present_bytes={first: offloading.graph.layers[first].weight_bytes * rng.random()},
        arrivals=[(1.5 * rng.random(), last)],
        sharing=sharing,
        gap_s=0.05,
        first_query_s=0.1 * rng.random(),
    )
    stay = simulate(offloading, settings)
    answers, stored = step_through(offloading, settings)
    expected = [answer for answer in stay.answers if answer.answered_s < 7.9]
    assert len(expected) >= 2
    assert stay.stored_s.keys() >= {first, last}
    # A step late at most for each thing that has ended before
    slack_s = STEP_S * 8 * (len(answers) + len(flat) + 2)
    for answer, (raised_s, answered_s) in zip(expected, answers, strict=False):
        assert (answer.raised_s, answer.answered_s) == pytest.approx(
            (raised_s, answered_s), abs=slack_s
        )
    assert stored == pytest.approx(stay.stored_s, abs=slack_s)


def test_the_smallest_case_by_hand() -> None:
    offloading = chain()
    stay = simulate(offloading, SimulatedAttachment(duration_s=5.0, upload=[(0,), (1,)], gap_s=0.5))
    # Query 1 finds nothing there. At 3.5 s all is there: 0.5 s up, 0.3 s, and 0.01 s down
    assert stay.stored_s == pytest.approx({0: 1.0, 1: 3.0})
    times = [(answer.raised_s, answer.answered_s) for answer in stay.answers]
    expected = [(0.0, 3.0), (3.5, 4.31), (4.81, 5.62)]
    assert np.array(times) == pytest.approx(np.array(expected))
    assert [answer.cold_start for answer in stay.answers] == [True, False, False]
    assert [answer.layers_server for answer in stay.answers] == [0, 2, 2]
    assert (stay.answers[1].bytes_up, stay.answers[1].bytes_down) == (500_000, 10_000)


def test_a_shared_uplink_slows_both_by_half_while_both_use_it() -> None:
    offloading = chain()
    settings = SimulatedAttachment(
        duration_s=9.0, upload=[(0,), (1,)], present_bytes={0: 1e6}, first_query_s=0.3
    )
    alone = simulate(offloading, settings)
    both = simulate(offloading, replace(settings, sharing="shared"))
    # The query sends 0.5 MB: 0.5 s alone, 1 s at half the rate, in which the upload loses 0.5 s
    slower_s = both.answers[0].latency_s - alone.answers[0].latency_s
    assert slower_s == pytest.approx(0.5)
    assert alone.stored_s[1] == pytest.approx(2.0)
    assert both.stored_s[1] == pytest.approx(2.5)


@pytest.mark.parametrize("seed", range(10))
def test_separate_uploads_take_bytes_over_rate(seed: int) -> None:
    offloading, _ = some(seed)
    stay = simulate(offloading, SimulatedAttachment(duration_s=60.0, upload=layers_of(offloading)))
    order = [layer for run in offloading.runs() for layer in run]
    sizes = offloading.graph.weight_bytes[order]
    expected = np.cumsum(sizes) * 8 / offloading.costs.up_bps
    assert [stay.stored_s[layer] for layer in order] == pytest.approx(expected.tolist())
    assert stay.finished_s == pytest.approx(expected[-1])
    assert stay.sent_bytes == pytest.approx(sizes.sum())


@pytest.mark.parametrize("seed", range(10))
def test_a_shared_uplink_carries_its_rate_and_no_more(seed: int) -> None:
    """As long as layers are missing, upload and queries together fill the uplink."""
    offloading, _ = some(seed)
    settings = SimulatedAttachment(
        duration_s=60.0, upload=layers_of(offloading), sharing="shared", gap_s=0.01
    )
    finished_s = simulate(offloading, settings).finished_s
    stay = simulate(offloading, replace(settings, duration_s=0.7 * finished_s))
    ends_s = stay.answers[-1].answered_s
    assert stay.finished_s == inf
    capacity = offloading.costs.up_bps * 0.7 * finished_s / 8
    in_time = sum(
        answer.bytes_up for answer in stay.answers if answer.answered_s <= 0.7 * finished_s
    )
    assert stay.sent_bytes + in_time <= capacity * (1 + 1e-9)
    last_up = stay.answers[-1].bytes_up if ends_s > 0.7 * finished_s else 0
    assert stay.sent_bytes + in_time + last_up >= capacity * (1 - 1e-9)
    assert stay.sent_bytes == pytest.approx(sum(stay.present_bytes.values()))


@pytest.mark.parametrize("sharing", ["separate", "shared"])
@pytest.mark.parametrize("seed", range(5))
def test_with_everything_there_each_query_is_the_plans(seed: int, sharing: Sharing) -> None:
    offloading, _ = some(seed)
    upload = offloading.runs()
    everything = {
        layer: offloading.graph.layers[layer].weight_bytes for run in upload for layer in run
    }
    settings = SimulatedAttachment(
        duration_s=30.0, upload=upload, present_bytes=everything, sharing=sharing, first_query_s=0.2
    )
    stay = simulate(offloading, settings)
    cycle_s = offloading.plan.latency_s + 0.5
    assert [answer.latency_s for answer in stay.answers] == pytest.approx(
        [offloading.plan.latency_s] * len(stay.answers)
    )
    assert (
        len(stay.answers) == raised_before(stay.answers, 30.0) == floor((30.0 - 0.2) / cycle_s) + 1
    )
    assert answered_by(stay.answers, 0.2 + 3 * cycle_s - 0.49) == 3
    assert (stay.finished_s, stay.sent_bytes) == (0.0, 0.0)
    assert not any(answer.cold_start for answer in stay.answers)


@pytest.mark.parametrize("seed", range(5))
def test_an_upload_that_is_cut_goes_on_at_the_next_attachment(seed: int) -> None:
    offloading, _ = some(seed)
    whole = SimulatedAttachment(duration_s=60.0, upload=layers_of(offloading))
    finished_s = simulate(offloading, whole).finished_s
    first = simulate(offloading, replace(whole, duration_s=0.4 * finished_s))
    second = simulate(offloading, replace(whole, present_bytes=first.present_bytes))
    assert first.finished_s == inf
    assert 0.4 * finished_s + second.finished_s == pytest.approx(finished_s)


@pytest.mark.parametrize("seed", range(5))
def test_layers_are_of_use_when_their_whole_group_is_there(seed: int) -> None:
    offloading, _ = some(seed)
    by_layer = simulate(
        offloading, SimulatedAttachment(duration_s=60.0, upload=layers_of(offloading))
    )
    by_run = simulate(offloading, SimulatedAttachment(duration_s=60.0, upload=offloading.runs()))
    assert by_run.stored_s == pytest.approx(by_layer.stored_s)
    everything = [tuple(layer for run in offloading.runs() for layer in run)]
    at_once = simulate(offloading, SimulatedAttachment(duration_s=60.0, upload=everything))
    first = offloading.latency_s(offloading.steps(()))
    before = [a for a in at_once.answers if a.raised_s < at_once.finished_s]
    assert [a.latency_s for a in before] == pytest.approx([first] * len(before))


def test_what_comes_from_elsewhere_is_not_uploaded() -> None:
    offloading = chain()
    settings = SimulatedAttachment(
        duration_s=9.0, upload=[(0,), (1,)], arrivals=[(0.5, 1), (0.75, 0)]
    )
    stay = simulate(offloading, settings)
    assert stay.stored_s == pytest.approx({1: 0.5, 0: 0.75})
    assert stay.sent_bytes == pytest.approx(0.75e6)
    assert stay.present_bytes == {0: 1e6, 1: 2e6}


def test_a_client_that_leaves_ends_its_query_by_itself() -> None:
    """What was not yet at the server when it left is executed at the client, with no upload."""
    layers = (
        Layer("a", "layer", (-1,), 1_000_000, 1_000),
        Layer("b", "layer", (0,), 0, 1_000),
        Layer("c", "layer", (1,), 1_000_000, 1_000),
    )
    graph = LayerGraph("three", layers, (TensorSpec("x", (1_000,), "uint8"),), 1_000, (2,))
    # The server is slow at b, so the plan comes back to the client in between
    costs = Costs(np.array([4.0, 1.0, 4.0]), np.array([1.0, 9.0, 1.0]), 8e6, 8e6)
    offloading = Offloading(graph, costs)
    assert [step.on_server for step in offloading.steps((0, 2))] == [True, False, True]
    settings = SimulatedAttachment(
        duration_s=1.5, upload=[(0,), (2,)], present_bytes={0: 1e6, 2: 1e6}
    )
    (left,) = simulate(offloading, settings).answers
    (stayed,) = simulate(offloading, replace(settings, duration_s=3.0)).answers
    assert stayed.latency_s == pytest.approx(offloading.plan.latency_s)
    assert left.layers_server == 1
    assert left.answered_s == pytest.approx(0.002 + 1.0 + 1.0 + 4.0)
