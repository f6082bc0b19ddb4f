"""From an experiment's settings to its movement: who trains the predictor, and who walks where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from testbed.arrays import FloatArray
from testbed.decision.policies import build_predictor
from testbed.settings.experiment import Experiment, Traces
from testbed.values import AccessPoint, Schedule
from topologies.hexgrid import HexGrid
from topologies.placement import near_paths, place_access_points
from traces.datasets import Rules, find_traces, own_rules
from traces.prepare import Preparation, split_people
from traces.prepare import prepare as prepare_traces
from traces.recording import ReadingRules, Recording
from traces.schedule import build_schedule, whole_schedule
from traces.trace import TraceSet
from traces.window import GeographicWindow, Window


@dataclass(frozen=True)
class People:
    """Who walks where, and the access points of all cells that anyone visits."""

    recorded: Recording
    traces: TraceSet  # of that, what lies in the window, step by step
    access_points: tuple[AccessPoint, ...]

    @property
    def made(self) -> str:
        """How many positions were made and not recorded, in a sentence; "" where none was."""
        traces, count = self.traces, self.traces.interpolated
        if not count:
            return ""
        share = count / sum(map(len, traces.traces))
        return (
            f"{traces.source}: at steps of {traces.interval_s:g} s, {count:,} positions"
            f" ({share:.0%}) are interpolated between recorded ones"
        )

    @property
    def servers_m(self) -> FloatArray:
        """Where the access points' edge servers stand, in metres, (s, 2)."""
        return np.array([(each.x_m, each.y_m) for each in self.access_points])

    def split(self, settings: Experiment) -> tuple[TraceSet, TraceSet]:
        """Return the traces that train the predictor and those that may be replayed."""
        wanted = settings.traces
        return split_people(
            self.traces,
            wanted.test_people or max(1, round(len(self.traces.people) / 3)),
            seed=settings.seed,
            test_segments=wanted.test_segments,
        )


@dataclass(frozen=True)
class Movement:
    """The traces that train the predictor, and the schedule of those that are replayed."""

    settings: Experiment  # with the steps of the data set where none were asked for
    training: TraceSet
    access_points: tuple[AccessPoint, ...]  # of all cells that anyone visits
    schedule: Schedule
    made: str = ""  # what of the positions was not recorded, in a sentence


def load_people(settings: Experiment) -> People:
    """Load, crop and resample the traces, and place access points.

    Raises:
        TraceError: the traces cannot be read.
        ConfigurationError: nobody moves in the window.
    """
    return place_people(record(settings), settings)


def record(settings: Experiment) -> Recording:
    """Load the traces as they are; TraceError if they cannot be read."""
    wanted = settings.traces
    path = None if wanted.path is None else Path(wanted.path)
    reading = ReadingRules(
        skip_bad=wanted.skip_bad,
        backwards=wanted.backwards,
        duplicates=wanted.duplicates,
        sample_s=wanted.interval_s or Rules().interval_s,
    )
    return find_traces(path, settings.seed, wanted.format, reading)


def with_own_steps(settings: Experiment, recorded: Recording) -> Experiment:
    """Return the settings with the steps of the data set where none are asked for."""
    own, wanted = own_rules(recorded), settings.traces
    interval_s = own.interval_s if wanted.interval_s is None else wanted.interval_s
    between = wanted.between_samples or own.between
    return replace(settings, traces=replace(wanted, interval_s=interval_s, between_samples=between))


def place_people(recorded: Recording, settings: Experiment) -> People:
    """Crop and resample traces, and place access points.

    Raises ConfigurationError: nobody moves in the window.
    """
    wanted = with_own_steps(settings, recorded).traces
    own = own_rules(recorded)
    preparation = Preparation(
        window=_window(wanted) or own.window,
        interval_s=wanted.step_s,
        gap_s=own.gap_s if wanted.gap_s is None else wanted.gap_s,
        min_duration_s=wanted.min_duration_s,
        between=wanted.between_samples or own.between,
    )
    traces = prepare_traces(recorded, preparation)
    grid = HexGrid(wanted.cell_circumradius_m)
    return People(recorded, traces, place_access_points(grid, traces.traces))


def _window(wanted: Traces) -> Window | GeographicWindow | None:
    """Return the window that is asked for, if one is."""
    if wanted.window_m is not None:
        x_min, y_min, x_max, y_max = wanted.window_m
        return Window(x_min, x_max, y_min, y_max)
    if wanted.window_deg is not None:
        lat_min, lon_min, lat_max, lon_max = wanted.window_deg
        return GeographicWindow(lat_min, lat_max, lon_min, lon_max)
    return None


def prepare(settings: Experiment, people: People | None = None) -> Movement:
    """Split the people and compute the schedule.

    `people` are those of `load_people`, which loads them where they are not given.

    Raises:
        TraceError: the traces cannot be read.
        ConfigurationError: they do not hold what the settings ask for.
    """
    people, replay = people or load_people(settings), settings.replay
    settings = with_own_steps(settings, people.recorded)
    predictor = build_predictor(settings)
    training, testing = people.split(settings)
    if replay.duration_s == "all":
        schedule = whole_schedule(testing, people.access_points)
        return Movement(settings, training, people.access_points, schedule, people.made)
    schedule = build_schedule(
        testing,
        people.access_points,
        clients=replay.clients,
        start=replay.start,
        duration_s=replay.duration_s,
        near=lambda points, positions_m: near_paths(points, positions_m, settings.traces.margin_m),
        history=predictor.n - 1,
        past_steps=predictor.memory - 1,
    )
    return Movement(settings, training, people.access_points, schedule, people.made)
