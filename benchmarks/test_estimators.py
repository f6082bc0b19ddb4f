"""How long execution-time estimation takes for Inception at 10 servers, and bringing it up.

    .venv/bin/python -m pytest benchmarks/test_estimators.py

The master estimates before each plan; that takes at most 5 ms on one core.
"""

from __future__ import annotations

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.graph import LayerGraph
from testbed.dnn.models.published import published_graph
from testbed.gpu.estimation.server_times import ServerTimes
from testbed.gpu.stats import ServerStats

SERVERS = 10
MAX_S = 0.005


@pytest.fixture(scope="module")
def graph() -> LayerGraph:
    return published_graph("inception")


@pytest.fixture(scope="module")
def server_times() -> ServerTimes:
    return ServerTimes.train(device_profile("titan-xp"))


def loads() -> list[ServerStats]:
    return [
        ServerStats("modelled", k, min(1.0, k / 6), min(0.55, k / 12), 10**9, 40.0 + k)
        for k in range(SERVERS)
    ]


@pytest.mark.benchmark(group=f"execution times of Inception, {SERVERS} servers")
class TestLayerTimes:
    def test_one_batch(
        self, benchmark: BenchmarkFixture, graph: LayerGraph, server_times: ServerTimes
    ) -> None:
        times_s = benchmark(server_times.layer_times, graph, loads())
        assert times_s.shape == (SERVERS, len(graph))
        assert (np.diff(times_s.sum(axis=1)) >= 0).all()
        if benchmark.stats is not None:  # None with --benchmark-disable
            assert benchmark.stats.stats.median <= MAX_S

    def test_one_by_one(
        self, benchmark: BenchmarkFixture, graph: LayerGraph, server_times: ServerTimes
    ) -> None:
        benchmark(lambda: [server_times.layer_times(graph, [each]) for each in loads()])


@pytest.mark.benchmark(group="bring-up of the estimator")
def test_training(benchmark: BenchmarkFixture, graph: LayerGraph) -> None:
    trained = benchmark.pedantic(
        ServerTimes.train, (device_profile("titan-xp"),), rounds=3, iterations=1
    )
    assert trained.layer_times(graph, loads()).shape == (SERVERS, len(graph))
