"""Queries right after a change of server, against the queries of a simulated attachment."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.dnn.partitioning.cold_start import ColdStart, cold_start
from testbed.simulation.fluid.layer_stream import LayerStream
from testbed.simulation.session import Session
from tests.simulation.test_exact_attachment import chain

GAP_S = 0.5


def value(within_s: float = 30.0) -> ColdStart:
    model = chain()
    return cold_start(
        model.graph, model.costs, model.plan.mask, model.runs(), gap_s=GAP_S, within_s=within_s
    )


def test_more_layers_are_worth_more_queries_and_all_of_them_are_fastest() -> None:
    found = value()
    model = chain()
    assert found.layers[0] == 0 and found.layers[-1] == sum(map(len, model.runs()))
    assert found.ends_bytes[-1] == sum(
        model.graph.weight_bytes[layer] for run in model.runs() for layer in run
    )
    assert (np.diff(found.queries) > 0).all()
    assert found.queries[-1] == pytest.approx(30 / (model.plan.latency_s + GAP_S))


@pytest.mark.parametrize("within_s", [2.0, 30.0, 300.0])
def test_it_counts_what_an_attachment_executes(within_s: float) -> None:
    """But for parts of queries: one at each change of what is there."""
    model, found = chain(), value(within_s)
    for present_bytes, queries in zip(found.ends_bytes.tolist(), found.queries, strict=True):
        session = Session(
            LayerStream(model, model.runs()), present_bytes=present_bytes, gap_s=GAP_S
        )
        assert queries == pytest.approx(session.advance(within_s), abs=len(model.runs()) + 1)


def test_groups_are_counted_once_they_are_whole() -> None:
    found = ColdStart((0, 2, 3), np.array([0.0, 10.0, 30.0]), np.array([1.0, 2.0, 3.0]))
    assert [found.groups(count) for count in (0.0, 9.9, 10.0, 29.0, 30.0, 1e9)] == [
        0,
        0,
        1,
        1,
        2,
        2,
    ]
