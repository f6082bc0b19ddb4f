"""The traces that commands look at: loaded, cropped and resampled as a run does it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.config import Experiment, from_dict, override, to_dict
from testbed.options import setting_help, setting_value
from testbed.values import AccessPoint
from topologies.hexgrid import HexGrid
from topologies.placement import place_access_points
from traces.library import find_traces
from traces.prepare import crop, resample, split_people
from traces.trace import TraceSet
from traces.window import Window


@dataclass(frozen=True)
class People:
    """Who walks where, and the access points of all cells that anyone visits."""

    recorded: TraceSet
    traces: TraceSet  # of those, what lies in the window, step by step
    access_points: tuple[AccessPoint, ...]

    def split(self, settings: Experiment) -> tuple[TraceSet, TraceSet]:
        """Return the traces to train on and those to test with, as a run would have them."""
        return split_people(self.traces, settings.traces.test_people, seed=settings.seed)


def load(settings: Experiment) -> People:
    """Load the traces that settings name.

    Raises:
        ConfigurationError: they cannot be read, or nobody moves in the window.
    """
    wanted = settings.traces
    recorded = find_traces(None if wanted.path is None else Path(wanted.path), settings.seed)
    x_min, y_min, x_max, y_max = wanted.window_m
    traces = resample(crop(recorded, Window(x_min, x_max, y_min, y_max)), wanted.interval_s)
    grid = HexGrid(wanted.cell_circumradius_m)
    return People(recorded, traces, place_access_points(grid, traces.traces))


def add_settings(parser: argparse.ArgumentParser, options: Mapping[str, str]) -> None:
    """Add options that stand for settings, {option: path}, for `settings_of` to read."""
    for option, path in options.items():
        default, text = setting_help(path)
        parser.add_argument(option, default=default, metavar="VALUE", help=text)
    parser.set_defaults(settings=dict(options))


def settings_of(given: argparse.Namespace, folder: str | None) -> Experiment:
    """Return default settings, changed by what the options of `add_settings` say."""
    values = to_dict(Experiment(name="traces"))
    override(values, "traces.path", folder)
    for option, path in given.settings.items():
        text = getattr(given, option.removeprefix("--").replace("-", "_"))
        override(values, path, setting_value(path, text))
    return from_dict(values)
