from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from topologies.hexgrid import HexGrid
from topologies.placement import visited_cells
from traces.campus import fractal_waypoints, least_action_order, synthetic_campus
from traces.crawdad import load_folder
from traces.prepare import crop
from traces.trace import TraceSet
from traces.window import KAIST_WINDOW

KAIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "kaist"
GRID = HexGrid(50.0)


@cache
def campus(seed: int = 0) -> TraceSet:
    return synthetic_campus(seed)


def mean_speed_mps(traces: TraceSet) -> float:
    steps = [np.hypot(np.diff(trace.x_m), np.diff(trace.y_m)) for trace in traces.traces]
    return float(np.concatenate(steps).mean()) / traces.interval_s


def share_of_steps_that_change_cell(traces: TraceSet) -> float:
    cells = [GRID.cell_of(trace.x_m, trace.y_m) for trace in traces.traces]
    return float(np.concatenate([np.diff(c, axis=0).any(axis=1) for c in cells]).mean())


def share_of_steps_standing_still(traces: TraceSet) -> float:
    steps = [np.hypot(np.diff(trace.x_m), np.diff(trace.y_m)) for trace in traces.traces]
    return float((np.concatenate(steps) < 1).mean())


def median_cells_a_day(traces: TraceSet) -> float:
    return float(np.median([len(visited_cells(GRID, [trace])) for trace in traces.traces]))


def test_same_seed_gives_the_same_campus_and_another_seed_another() -> None:
    first, again, other = (synthetic_campus(seed, people=2) for seed in (1, 1, 2))
    for one, same in zip(first.traces, again.traces, strict=True):
        np.testing.assert_array_equal(one.positions_m, same.positions_m)
    assert not np.array_equal(first.traces[0].positions_m[:50], other.traces[0].positions_m[:50])


def test_a_day_does_not_depend_on_how_many_people_there_are() -> None:
    few = synthetic_campus(0, people=3)
    for alone, among_all in zip(few.traces, campus().traces, strict=False):
        np.testing.assert_array_equal(alone.positions_m, among_all.positions_m)


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


# KAIST in the paper's window: 0.46 m/s, 16 % of steps change cell, 351 cells, 44 % of steps stand
# still, 26 cells in a day's (or a segment's) median.
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_campus_resembles_kaist(seed: int) -> None:
    traces = campus(seed)
    assert mean_speed_mps(traces) == pytest.approx(0.5, abs=0.05)
    assert share_of_steps_that_change_cell(traces) == pytest.approx(0.165, abs=0.015)
    assert len(visited_cells(GRID, traces.traces)) == pytest.approx(351, rel=0.25)
    assert share_of_steps_standing_still(traces) == pytest.approx(0.575, abs=0.03)
    assert median_cells_a_day(traces) == pytest.approx(26, abs=8)


def test_default_campus_walks_at_kaists_mean_speed() -> None:
    assert 0.46 <= mean_speed_mps(campus()) <= 0.50


@pytest.mark.skipif(not KAIST.is_dir(), reason="the KAIST data are not at hand")
def test_figures_of_kaist_are_as_quoted_here() -> None:
    traces = crop(load_folder(KAIST))
    assert mean_speed_mps(traces) == pytest.approx(0.46, abs=0.01)
    assert share_of_steps_that_change_cell(traces) == pytest.approx(0.16, abs=0.005)
    assert len(visited_cells(GRID, traces.traces)) == 351
    assert share_of_steps_standing_still(traces) == pytest.approx(0.44, abs=0.01)
    assert median_cells_a_day(traces) == 26


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
