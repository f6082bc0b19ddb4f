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
class People:
    """Who walks where, and the access points of all cells that anyone visits."""

    recorded: TraceSet
    traces: TraceSet  # of those, what lies in the window, step by step
    access_points: tuple[AccessPoint, ...]

    def split(self, settings: Experiment) -> tuple[TraceSet, TraceSet]:
        """Return the traces that train the predictor and those that may be replayed."""
        return split_people(self.traces, settings.traces.test_people, seed=settings.seed)


@dataclass(frozen=True)
class Movement:
    """The traces that train the predictor, and the schedule of those that are replayed."""

    training: TraceSet
    access_points: tuple[AccessPoint, ...]  # of all cells that anyone visits
    schedule: Schedule


def load_people(settings: Experiment) -> People:
    """Load, crop and resample the traces, and place access points.

    Raises:
        TraceError: the traces cannot be read.
        ConfigurationError: nobody moves in the window.
    """
    wanted = settings.traces
    folder = None if wanted.path is None else Path(wanted.path)
    recorded = find_traces(folder, settings.seed, wanted.format)
    x_min, y_min, x_max, y_max = wanted.window_m
    traces = resample(crop(recorded, Window(x_min, x_max, y_min, y_max)), wanted.interval_s)
    grid = HexGrid(wanted.cell_circumradius_m)
    return People(recorded, traces, place_access_points(grid, traces.traces))


def prepare(settings: Experiment) -> Movement:
    """Load the traces, split the people and compute the schedule.

    Raises:
        TraceError: the traces cannot be read.
        ConfigurationError: they do not hold what the settings ask for.
    """
    people, replay = load_people(settings), settings.replay
    training, testing = people.split(settings)
    schedule = build_schedule(
        testing,
        people.access_points,
        clients=replay.clients,
        start=replay.start,
        duration_s=replay.duration_s,
        near=lambda points, positions_m: near_paths(points, positions_m, settings.traces.margin_m),
        history=settings.migration.trajectory_length - 1,
    )
    return Movement(training, people.access_points, schedule)
