"""How long mobility prediction takes for 100,000 clients at once, on a synthetic campus.

    .venv/bin/python -m pytest benchmarks/test_mobility.py

On one core, next positions by SVR take at most 50 ms, all servers that may be visited at most 2 s,
and the servers around as many points among 400 cells at most 100 ms.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from scipy.spatial import KDTree
from threadpoolctl import threadpool_limits

from testbed.arrays import FloatArray
from testbed.mobility.neighbourhood import NOBODY, Neighbourhood
from testbed.mobility.predictor import histories
from testbed.mobility.regression import LinearSvr
from testbed.mobility.visits import HORIZON, VisitPredictor
from topologies.hexgrid import HexGrid
from topologies.placement import place_access_points
from traces.campus.synthetic import WINDOW, synthetic_campus
from traces.trace import TraceSet

CLIENTS = 100_000
CELLS = 400
RADIUS_M = 100.0
MAX_SVR_S = 0.05
MAX_VISITS_S = 2.0
MAX_NEAR_S = 0.1
TRAINING = 30  # people

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def campus() -> TraceSet:
    return synthetic_campus(seed=0)


@pytest.fixture(scope="module")
def servers_m(campus: TraceSet) -> FloatArray:
    """Where the access points of all cells that anyone visits stand, about 400."""
    placed = place_access_points(HexGrid(50.0), campus.traces)
    return np.array([(each.x_m, each.y_m) for each in placed])


@pytest.fixture(scope="module")
def paths(campus: TraceSet) -> list[FloatArray]:
    return [np.column_stack((trace.x_m, trace.y_m)) for trace in campus.traces]


def recent_of(paths: list[FloatArray], n: int, memory: int) -> FloatArray:
    """Return the last positions of as many clients as there are, (CLIENTS, memory, 2)."""
    known = np.concatenate([histories(path, n, memory) for path in paths[TRAINING:]])
    return known[np.random.default_rng(0).integers(len(known), size=CLIENTS)]


def within_target(benchmark: BenchmarkFixture, most_s: float) -> None:
    if benchmark.stats is not None:  # None with --benchmark-disable
        assert benchmark.stats.stats.median <= most_s


@pytest.mark.benchmark(group=f"next positions of {CLIENTS:,} clients")
def test_svr(benchmark: BenchmarkFixture, paths: list[FloatArray], servers_m: FloatArray) -> None:
    predictor = LinearSvr()
    predictor.fit(paths[:TRAINING], servers_m)
    recent = recent_of(paths, predictor.n, predictor.memory)
    assert benchmark(predictor.predict, recent).shape == (CLIENTS, 2)
    within_target(benchmark, MAX_SVR_S)


@pytest.mark.benchmark(group=f"servers that {CLIENTS:,} clients may visit")
class TestCandidates:
    @pytest.fixture(scope="class")
    @staticmethod
    def visits(paths: list[FloatArray], servers_m: FloatArray) -> VisitPredictor:
        predictor = VisitPredictor()
        predictor.fit(paths[:TRAINING], servers_m)
        return predictor

    @pytest.mark.parametrize("cores", [1, 2])
    def test_visits(
        self,
        benchmark: BenchmarkFixture,
        paths: list[FloatArray],
        visits: VisitPredictor,
        cores: int,
    ) -> None:
        """It divides people among the cores that it may use."""
        recent = recent_of(paths, visits.n, visits.memory)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, range(min(cores, os.cpu_count() or 1)))
        try:
            found = benchmark.pedantic(visits.candidates, (recent,), rounds=5, warmup_rounds=1)
        finally:
            os.sched_setaffinity(0, before)
        assert found.probability.shape == (*found.servers.shape, HORIZON)
        if cores == 1:
            within_target(benchmark, MAX_VISITS_S)

    def test_nearest_to_svr(
        self, benchmark: BenchmarkFixture, paths: list[FloatArray], servers_m: FloatArray
    ) -> None:
        predictor = LinearSvr()
        predictor.fit(paths[:TRAINING], servers_m)
        recent = recent_of(paths, predictor.n, predictor.memory)
        benchmark(predictor.candidates, recent)


@pytest.fixture(scope="module")
def places_m() -> FloatArray:
    """Where the access points of the 400 cells about the middle of the campus stand."""
    columns, rows = np.meshgrid(np.arange(-40, 40), np.arange(-40, 40))
    centres_m = HexGrid(50.0).centre(np.stack((columns, rows), axis=-1).reshape(-1, 2))
    middle_m = np.array(((WINDOW.x_min_m + WINDOW.x_max_m), (WINDOW.y_min_m + WINDOW.y_max_m))) / 2
    return centres_m[np.argsort(np.hypot(*(centres_m - middle_m).T))[:CELLS]]


@pytest.fixture(scope="module")
def points_m(paths: list[FloatArray]) -> FloatArray:
    return recent_of(paths, 1, 1)[:, 0]


@pytest.mark.benchmark(group=f"servers around {CLIENTS:,} points among {CELLS} cells")
class TestNeighbourhood:
    def test_neighbourhood(
        self, benchmark: BenchmarkFixture, places_m: FloatArray, points_m: FloatArray
    ) -> None:
        servers, _ = benchmark(Neighbourhood(places_m, RADIUS_M).within, points_m)
        expected = KDTree(places_m).query_ball_point(points_m, RADIUS_M, return_length=True)
        np.testing.assert_array_equal((servers != NOBODY).sum(axis=1), expected)
        within_target(benchmark, MAX_NEAR_S)

    @pytest.mark.parametrize("ask", ["lists", "distances"])
    def test_kd_tree(
        self, benchmark: BenchmarkFixture, places_m: FloatArray, points_m: FloatArray, ask: str
    ) -> None:
        """With its distances, which the tree does not return, and without."""
        tree = KDTree(places_m)
        asked: dict[str, Callable[[], object]] = {
            "lists": lambda: tree.query_ball_point(points_m, RADIUS_M),
            "distances": lambda: tree.query(points_m, k=20, distance_upper_bound=RADIUS_M),
        }
        benchmark.pedantic(asked[ask], rounds=5)
