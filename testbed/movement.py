"""From an experiment's settings to its movement: who trains the predictor, and who walks where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.config import Experiment
from testbed.values import AccessPoint, Schedule
from topologies.hexgrid import HexGrid
from topologies.placement import near_paths, place_access_points
from traces.library import find_traces
from traces.prepare import crop, resample, split_people
from traces.schedule import build_schedule
from traces.trace import TraceSet
from traces.window import Window


@dataclass(frozen=True)
class Movement:
    """The traces that train the predictor, and the schedule of those that are replayed."""

    training: TraceSet
    access_points: tuple[AccessPoint, ...]  # of all cells that any trace visits
    schedule: Schedule


def prepare(settings: Experiment) -> Movement:
    """Load, crop and split the traces, place access points and compute the schedule.

    Raises:
        TraceError: the traces cannot be read.
        ConfigurationError: they do not hold what the settings ask for.
    """
    wanted, replay = settings.traces, settings.replay
    found = find_traces(None if wanted.path is None else Path(wanted.path), settings.seed)
    x_min, y_min, x_max, y_max = wanted.window_m
    traces = resample(crop(found, Window(x_min, x_max, y_min, y_max)), wanted.interval_s)
    grid = HexGrid(wanted.cell_circumradius_m)
    access_points = place_access_points(grid, traces.traces)
    training, testing = split_people(traces, wanted.test_people, seed=settings.seed)
    schedule = build_schedule(
        testing,
        access_points,
        clients=replay.clients,
        start=replay.start,
        duration_s=replay.duration_s,
        near=lambda points, positions_m: near_paths(points, positions_m, wanted.margin_m),
        history=settings.migration.trajectory_length - 1,
    )
    return Movement(training, access_points, schedule)
