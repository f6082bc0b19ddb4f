from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial import KDTree
from scipy.stats import ks_2samp

from testbed.arrays import FloatArray
from testbed.errors import ConfigurationError
from testbed.mobility.predictor import windows
from testbed.mobility.regression import LinearSvr
from tests.traces.campus.flights import flights_m, pauses_s
from topologies.hexgrid import HexGrid
from topologies.placement import place_access_points, visited_cells
from traces.campus.places import fractal_waypoints
from traces.campus.receiver import wander_m
from traces.campus.route import least_action_order
from traces.campus.synthetic import synthetic_campus
from traces.datasets import load_folder
from traces.prepare import crop, resample, split_people
from traces.trace import TraceSet
from traces.window import KAIST_WINDOW

KAIST = Path(__file__).resolve().parents[4] / "shared" / "data" / "kaist"
GRID = HexGrid(50.0)
SEEDS = range(5)  # the testbed's default is 1
SPLIT_SEED = 1
LIFETIME = 5  # steps that an offer is good for


# Of KAIST, and by how much the campus may differ. The tolerances hold for the seeds 0 to 19; the
# figures of a split vary as much among splits of KAIST (traces.campus.synthetic).
MOVEMENT = {
    "mean speed, m/s": (0.462, 0.06),
    "share of steps that change cell": (0.161, 0.02),
    "share of steps that stand still": (0.443, 0.06),
    "cells visited": (351, 70),
    "cells a day, median": (26, 6),
    "share of changes back to the cell before": (0.391, 0.05),
    "share of stays in a cell of one step": (0.440, 0.07),
    "correlation of successive steps": (0.216, 0.20),
    "steps up to 10 m": (0.666, 0.05),
    "steps up to 30 m": (0.858, 0.03),
    "steps up to 120 m": (0.985, 0.01),
}
PREDICTION = {
    "error, m": (12.16, 4.5),
    "share of predictions that are non-futile": (0.147, 0.035),
    "top-1": (0.099, 0.05),
    "top-2": (0.558, 0.06),
    "hit ratio, 50 m": (0.391, 0.10),
    "hit ratio, 60 m": (0.686, 0.10),
    "hit ratio, 70 m": (0.816, 0.10),
    "hit ratio, 80 m": (0.875, 0.10),
    "hit ratio, 90 m": (0.902, 0.10),
    "hit ratio, 100 m": (0.920, 0.10),
    "new offers a handover, 50 m": (0.527, 0.2),
    "new offers a handover, 100 m": (1.723, 0.3),
}
# Distribution functions of KAIST's pauses and flights, and by how much they may differ anywhere.
# Those of two halves of KAIST's people are 0.03 apart in the mean of 20 halvings, and at most 0.05
# (pauses) and 0.07 (flights). What is longer may not be half or twice as frequent, either.
PAUSES = {30: 0.587, 60: 0.736, 90: 0.800, 300: 0.906, 600: 0.946, 1800: 0.973, 7200: 0.993}
FLIGHTS = {7: 0.067, 10: 0.161, 20: 0.413, 30: 0.573, 50: 0.760, 100: 0.902, 150: 0.950, 300: 0.990}
DISTRIBUTIONS = ((pauses_s, PAUSES, 0.06), (flights_m, FLIGHTS, 0.085))


@cache
def campus(seed: int = 1) -> TraceSet:
    return synthetic_campus(seed)


@cache
def kaist() -> TraceSet:
    return resample(crop(load_folder(KAIST)), 30.0)


needs_kaist = pytest.mark.skipif(not KAIST.is_dir(), reason="the KAIST data are not at hand")


def movement(traces: TraceSet) -> dict[str, float]:
    ways_m = [np.diff(trace.positions_m, axis=0) for trace in traces.traces]
    steps_m = np.hypot(*np.concatenate(ways_m).T)
    cells = [GRID.cell_of(trace.x_m, trace.y_m) for trace in traces.traces]
    changes = [np.flatnonzero(np.diff(each, axis=0).any(axis=1)) + 1 for each in cells]
    itineraries = [each[np.r_[0, change]] for each, change in zip(cells, changes, strict=True)]
    back = [(each[2:] == each[:-2]).all(axis=1) for each in itineraries]
    stays = np.concatenate([np.diff(change) for change in changes])
    return {
        "mean speed, m/s": steps_m.mean() / traces.interval_s,
        "share of steps that change cell": sum(map(len, changes)) / len(steps_m),
        "share of steps that stand still": (steps_m < 1).mean(),
        "cells visited": len(visited_cells(GRID, traces.traces)),
        "cells a day, median": float(np.median([len(np.unique(c, axis=0)) for c in cells])),
        "share of changes back to the cell before": np.concatenate(back).mean(),
        "share of stays in a cell of one step": (stays == 1).mean(),
        "correlation of successive steps": correlation(ways_m),
        "steps up to 10 m": (steps_m <= 10).mean(),
        "steps up to 30 m": (steps_m <= 30).mean(),
        "steps up to 120 m": (steps_m <= 120).mean(),
    }


def correlation(ways_m: list[FloatArray]) -> float:
    """Of steps, (n, 2) each, and those after them: do people go on the way they came?"""
    first = np.concatenate([way_m[:-1] for way_m in ways_m])
    second = np.concatenate([way_m[1:] for way_m in ways_m])
    return float(2 * (first * second).sum() / ((first**2).sum() + (second**2).sum()))


def prediction(traces: TraceSet) -> dict[str, float]:
    """Train a linear SVR on some people and offer layers ahead of the others, as PerDNN does."""
    access_points = place_access_points(GRID, traces.traces)
    servers_m = np.array([(ap.x_m, ap.y_m) for ap in access_points])
    servers = KDTree(servers_m)
    train, test = split_people(traces, seed=SPLIT_SEED)
    predictor = LinearSvr()
    predictor.fit(train.positions_m, servers_m)
    paths_m = [path for path in test.positions_m if len(path) > predictor.n]
    recent, following = windows(paths_m, predictor.n)
    predicted = predictor.predict(recent)
    current, visited = servers.query(recent[:, -1])[1], servers.query(following)[1]
    moved = current != visited
    closest = servers.query(predicted[moved], k=[1, 2])[1] == visited[moved, np.newaxis]
    figures = {
        "error, m": np.hypot(*(predicted - following).T).mean(),
        "share of predictions that are non-futile": moved.mean(),
        "top-1": closest[:, 0].mean(),
        "top-2": closest.any(axis=1).mean(),
    }
    predictions = [len(path) - predictor.n for path in paths_m]
    path = np.repeat(np.arange(len(paths_m)), predictions)
    step = np.arange(len(path)) + LIFETIME * path  # no offer made on one path is good on the next
    for radius_m in (50, 60, 70, 80, 90, 100):
        offered = servers.query_ball_point(predicted, radius_m)
        hits, offers = hits_and_new_offers(step, current, visited, offered)
        figures[f"hit ratio, {radius_m} m"] = hits / moved.sum()
        figures[f"new offers a handover, {radius_m} m"] = offers / moved.sum()
    return {name: figures[name] for name in PREDICTION}


def hits_and_new_offers(
    step: npt.NDArray[np.int64],
    current: npt.NDArray[np.int64],
    visited: npt.NDArray[np.int64],
    offered: npt.NDArray[np.object_],
) -> tuple[int, int]:
    """Count handovers to a server that holds the layers, and offers to servers that did not.

    An offer at step i is for every server offered but the current one, which then holds the layers
    until step i + LIFETIME.
    """
    hits = new = 0
    until: dict[int, int] = {}
    for i, here, there, servers in zip(step, current, visited, offered, strict=True):
        for server in servers:
            if server != here:
                new += until.get(server, -1) < i
                until[server] = i + LIFETIME
        hits += here != there and until.get(there, -1) > i
    return hits, new


def all_of(measure: Callable[..., FloatArray], traces: TraceSet) -> FloatArray:
    return np.concatenate([measure(trace) for trace in traces.traces])


@pytest.mark.parametrize("seed", SEEDS)
def test_campus_moves_as_kaist_does(seed: int) -> None:
    figures = movement(campus(seed))
    for name, (of_kaist, tolerance) in MOVEMENT.items():
        assert figures[name] == pytest.approx(of_kaist, abs=tolerance), name


@pytest.mark.parametrize("seed", SEEDS)
def test_campus_is_as_predictable_as_kaist(seed: int) -> None:
    figures = prediction(campus(seed))
    for name, (of_kaist, tolerance) in PREDICTION.items():
        assert figures[name] == pytest.approx(of_kaist, abs=tolerance), name


@pytest.mark.parametrize("seed", SEEDS)
def test_pauses_and_flights_are_distributed_as_kaists(seed: int) -> None:
    for measure, shares, apart in DISTRIBUTIONS:
        values = all_of(measure, campus(seed))
        for limit, share in shares.items():
            assert (values <= limit).mean() == pytest.approx(share, abs=apart), limit
            assert 0.5 < (values > limit).mean() / (1 - share) < 2, limit


def test_default_campus_moves_at_kaists_mean_speed() -> None:
    assert movement(campus())["mean speed, m/s"] == pytest.approx(0.462, abs=0.02)


@needs_kaist
def test_figures_of_kaist_are_as_quoted_here() -> None:
    figures = movement(kaist()) | prediction(kaist())
    for name, (quoted, _) in (MOVEMENT | PREDICTION).items():
        assert figures[name] == pytest.approx(quoted, abs=5.1e-4, rel=5e-4), name
    for measure, shares, _ in DISTRIBUTIONS:
        values = all_of(measure, kaist())
        for limit, share in shares.items():
            assert (values <= limit).mean() == pytest.approx(share, abs=5.1e-4), limit


@needs_kaist
@pytest.mark.parametrize("seed", SEEDS)
def test_distributions_are_near_kaists_everywhere(seed: int) -> None:
    for measure, _, apart in DISTRIBUTIONS:
        assert ks_2samp(all_of(measure, campus(seed)), all_of(measure, kaist())).statistic < apart


def test_same_seed_gives_the_same_campus_and_another_seed_another() -> None:
    first, again, other = (synthetic_campus(seed, people=2) for seed in (1, 1, 2))
    for one, same in zip(first.traces, again.traces, strict=True):
        np.testing.assert_array_equal(one.positions_m, same.positions_m)
    assert not np.array_equal(first.traces[0].positions_m[:50], other.traces[0].positions_m[:50])


def test_a_day_does_not_depend_on_how_many_people_there_are() -> None:
    few = synthetic_campus(1, people=3)
    for alone, among_all in zip(few.traces, campus().traces, strict=False):
        np.testing.assert_array_equal(alone.positions_m, among_all.positions_m)


@pytest.mark.parametrize("interval_s", [1.0, 5.0, 15.0])
def test_movement_is_the_same_at_a_finer_interval(interval_s: float) -> None:
    fine = synthetic_campus(1, people=5, interval_s=interval_s)
    assert fine.interval_s == interval_s
    for often, seldom in zip(fine.traces, campus().traces, strict=False):
        assert (np.diff(often.time_s) == interval_s).all()
        shared = np.isin(often.time_s, seldom.time_s)
        np.testing.assert_array_equal(often.time_s[shared], seldom.time_s)
        np.testing.assert_array_equal(often.positions_m[shared], seldom.positions_m)


def test_interval_must_be_positive() -> None:
    with pytest.raises(ConfigurationError, match="0 s"):
        synthetic_campus(1, people=1, interval_s=0.0)


def test_92_people_walk_for_hours_in_steps_of_30_s_inside_the_window() -> None:
    traces = campus()
    assert traces.source == "synthetic campus"
    assert len(traces.people) == len(traces.traces) == 92
    hours = [trace.time_s[-1] / 3600 for trace in traces.traces]
    assert min(hours) > 4
    assert max(hours) < 24
    for trace in traces.traces:
        assert (np.diff(trace.time_s) == 30).all()
        assert KAIST_WINDOW.contains(trace.x_m, trace.y_m).all()


def test_waypoints_are_clustered_at_every_scale() -> None:
    points_m = fractal_waypoints(np.random.default_rng(0), KAIST_WINDOW)
    assert KAIST_WINDOW.contains(*points_m.T).all()
    for boxes in (4, 8, 16, 32):
        count, _, _ = np.histogram2d(*points_m.T, bins=boxes)
        # Points strewn evenly would have a variance equal to their mean.
        assert count.var() > 3 * count.mean()


def test_nearest_stop_is_mostly_next_and_every_stop_is_visited_once() -> None:
    stops_m = np.array([(100.0, 0), (10, 0), (1000, 0), (30, 0)])
    start_m = np.zeros(2)
    orders = [
        least_action_order(start_m, stops_m, np.random.default_rng(seed)) for seed in range(50)
    ]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert sum(order == [1, 3, 0, 2] for order in orders) > 35


def test_receivers_error_is_correlated_for_a_minute_and_has_heavy_tails() -> None:
    error_m = wander_m(200_000, np.random.default_rng(0))  # every 5 s
    direction = error_m / np.hypot(*error_m.T)[:, np.newaxis]
    for steps, least, most in ((1, 0.8, 1.0), (6, 0.35, 0.7), (60, -0.05, 0.05)):
        agreement = (direction[steps:] * direction[:-steps]).sum(axis=1).mean()
        assert least < agreement < most
    median, rare = np.percentile(np.hypot(*error_m.T), [50, 99])
    assert median == pytest.approx(10, abs=1.5)
    assert rare / median > 5  # 2.6 for a normal error
