"""Each tensor crosses once a direction, and only where it is needed."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.arrays import BoolArray
from testbed.dnn.graph import INPUT, Layer, LayerGraph, TensorSpec
from testbed.dnn.partitioning.crossings import Crossing, crossings, local_rest
from testbed.dnn.partitioning.partition import Costs, Plan, Segment, latency
from tests.dnn.graphs import random_graph


def of(graph: LayerGraph, on_server: BoolArray) -> tuple[Crossing, ...]:
    return crossings(graph, Plan(tuple(on_server.tolist()), 0.0, 0.0, 0).segments())


def cases(count: int) -> list[tuple[LayerGraph, BoolArray]]:
    rng = np.random.default_rng(11)
    found = []
    for number in range(count):
        n = int(rng.integers(1, 16))
        graph = random_graph(rng, n, chain=number % 4 == 0)
        found.append((graph, rng.random(n) < rng.choice([0.2, 0.5, 0.8])))
    return found


def test_the_bytes_that_cross_are_those_of_the_cost_model() -> None:
    for graph, on_server in cases(300):
        steps = of(graph, on_server)
        up = sum(graph.bytes_of(p) for step in steps for p in step.sent)
        down = sum(graph.bytes_of(p) for step in steps for p in step.returned)
        nothing_s = np.zeros(len(graph))
        only_up = latency(graph, Costs(nothing_s, nothing_s, 8.0, np.inf), on_server)
        only_down = latency(graph, Costs(nothing_s, nothing_s, np.inf, 8.0), on_server)
        assert (up, down) == (pytest.approx(only_up), pytest.approx(only_down))


def test_both_sides_have_what_they_read_when_they_read_it() -> None:
    """Execute with sets of names instead of tensors."""
    for graph, on_server in cases(300):
        client, server = {INPUT}, set[int]()
        went_up: list[int] = []
        for step in of(graph, on_server):
            assert set(step.sent) <= client
            went_up += step.sent
            first, last = step.segment.first, step.segment.last
            side = server | set(step.sent) if step.segment.on_server else client
            for layer in range(first, last + 1):
                assert set(graph.layers[layer].inputs) <= side
                side.add(layer)
            if step.segment.on_server:
                assert set(step.returned) <= set(range(first, last + 1))
                client |= set(step.returned)
                assert set(step.kept) <= side & set(graph.live(last + 1))
                server = set(step.kept)
            else:
                assert not step.sent and not step.returned
                assert set(step.kept) == server
        assert set(graph.outputs) <= client
        assert not server  # nothing stays behind
        assert len(went_up) == len(set(went_up))


def test_a_tensor_that_two_segments_read_is_sent_for_the_first_and_kept_for_the_second() -> None:
    """in -> a (server) -> b (client) -> c (server, reads a, b and the input)."""
    layers = (
        Layer("a", "layer", (INPUT,), 0, 10),
        Layer("b", "layer", (0,), 0, 20),
        Layer("c", "layer", (INPUT, 0, 1), 0, 30),
    )
    graph = LayerGraph("twice", layers, (TensorSpec("x", (40,), "uint8"),), 40, (2,))
    assert of(graph, np.array([True, False, True])) == (
        Crossing(Segment(True, 0, 0), (INPUT,), (0,), (INPUT, 0)),
        Crossing(Segment(False, 1, 1), (), (), (INPUT, 0)),
        Crossing(Segment(True, 2, 2), (1,), (2,), ()),
    )


def test_what_only_the_server_needs_is_not_returned() -> None:
    """a and b (server) are read by d (server) alone; c between them stays at the client."""
    layers = (
        Layer("a", "layer", (INPUT,), 0, 10),
        Layer("b", "layer", (INPUT,), 0, 20),
        Layer("c", "layer", (INPUT,), 0, 30),
        Layer("d", "layer", (0, 1, 2), 0, 40),
    )
    graph = LayerGraph("kept", layers, (TensorSpec("x", (50,), "uint8"),), 50, (3,))
    first, _, second = of(graph, np.array([True, True, False, True]))
    assert (first.returned, first.kept) == ((), (0, 1))
    assert (second.sent, second.returned, second.kept) == ((2,), (3,), ())


def test_a_query_is_ended_at_the_client_with_what_it_holds_and_no_more_layers_than_that() -> None:
    for graph, on_server in cases(200):
        held = {INPUT}
        for step in of(graph, on_server):
            rest = [i for s in local_rest(graph, held) for i in range(s.first, s.last + 1)]
            have = set(held)
            for layer in rest:
                assert layer not in have
                assert set(graph.layers[layer].inputs) <= have
                have.add(layer)
            assert set(graph.outputs) <= have
            for layer in rest:  # each of them is needed for another or for the answer
                readers = [i for i in rest if layer in graph.layers[i].inputs]
                assert readers or layer in graph.outputs
            ran = range(step.segment.first, step.segment.last + 1)
            held |= set(step.returned if step.segment.on_server else ran)
        assert local_rest(graph, held) == ()
