"""`testbed traces describe`: what is in a folder of traces."""

from __future__ import annotations

import argparse
from typing import Any

from testbed.commands.output import add_json, number, print_json, print_table
from testbed.commands.settings import add_settings, settings_of
from testbed.config import Experiment
from testbed.errors import EXIT_COMPLETE
from testbed.movement import load_people
from traces.trace import TraceSet

HELP = "describe traces: people, points, speed, area, cells"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    what = parser.add_subparsers(required=True, metavar="describe")
    describe_parser = what.add_parser("describe", help=HELP, description=HELP)
    describe_parser.add_argument(
        "traces",
        nargs="?",
        metavar="DIR",
        help="folder of traces (default: KAIST where found, else a synthetic campus)",
    )
    add_settings(
        describe_parser,
        {
            "--window": "traces.window_m",
            "--interval": "traces.interval_s",
            "--cell-circumradius": "traces.cell_circumradius_m",
            "--seed": "seed",
        },
    )
    add_json(describe_parser)


def run(given: argparse.Namespace) -> int:
    """Print what the traces hold, as recorded and in the window of an experiment."""
    content = describe(settings_of(given, given.traces))
    if given.json:
        print_json(content)
        return EXIT_COMPLETE
    recorded, window = content["recorded"], content["window"]
    rows = [
        (label, *(f"{number(part[key])} {unit}".strip() for part in (recorded, window)))
        for key, label, unit in _ROWS
    ]
    rows += [
        ("cells visited", "", f"{content['cells']:,}"),
        ("steps that change cell", "", f"{content['cell_change_share']:.1%}"),
    ]
    print_table(("", "recorded", "in the window"), rows, title=content["source"])
    return EXIT_COMPLETE


_ROWS = (
    ("people", "people", ""),
    ("traces", "unbroken traces", ""),
    ("points", "points", ""),
    ("hours", "time", "h"),
    ("interval_s", "step", "s"),
    ("width_m", "area, width", "m"),
    ("height_m", "area, height", "m"),
    ("mean_speed_m_s", "mean speed", "m/s"),
)


def describe(settings: Experiment) -> dict[str, Any]:
    """Return the figures of the traces, ready for JSON.

    Keys: `source`; `recorded` and `window` (people, traces, points, hours, interval_s, width_m,
    height_m, mean_speed_m_s); `cells` visited in the window; `cell_change_share`, the share of its
    steps at which a person's access point changes (0 to 1).
    """
    import numpy as np

    from traces.schedule import take_walks

    people = load_people(settings)
    walks = take_walks(people.traces, people.access_points)
    changed = np.concatenate([np.diff(walk.attached) != 0 for walk in walks])
    return {
        "source": people.recorded.source,
        "recorded": _figures(people.recorded),
        "window": _figures(people.traces),
        "cells": len(people.access_points),
        "cell_change_share": float(changed.mean()) if len(changed) else 0.0,
    }


def _figures(traces: TraceSet) -> dict[str, float | int]:
    import numpy as np

    positions = np.concatenate(traces.positions_m)
    length_m = sum(np.hypot(*np.diff(path, axis=0).T).sum() for path in traces.positions_m)
    duration_s = sum(float(trace.time_s[-1] - trace.time_s[0]) for trace in traces.traces)
    width_m, height_m = positions.max(axis=0) - positions.min(axis=0)
    return {
        "people": len(traces.people),
        "traces": len(traces.traces),
        "points": len(positions),
        "hours": duration_s / 3600,
        "interval_s": traces.interval_s,
        "width_m": float(width_m),
        "height_m": float(height_m),
        "mean_speed_m_s": float(length_m / duration_s) if duration_s else 0.0,
    }
