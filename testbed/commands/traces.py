"""`testbed traces describe`: what is in a folder of traces."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from testbed.errors import EXIT_COMPLETE
from testbed.output import add_json, print_json
from testbed.settings.experiment import Experiment
from testbed.settings.options import TRACES, add_options, check_read, with_options
from testbed.terminal import number, print_table

if TYPE_CHECKING:  # they take a while to import
    from traces.recording import Recording
    from traces.trace import Samples, Trace

DEFAULTS = Experiment(name="traces")
HELP = "describe traces: people, points, speed, area, cells"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    what = parser.add_subparsers(required=True, metavar="describe")
    describe_parser = what.add_parser("describe", help=HELP, description=HELP)
    describe_parser.add_argument(
        "traces.path",
        nargs="?",
        metavar="PATH",
        help="file or folder of traces (default: KAIST where found, else a synthetic campus)",
    )
    add_options(describe_parser, DEFAULTS, TRACES)
    add_json(describe_parser)


def run(given: argparse.Namespace) -> int:
    """Print what the traces hold, as recorded and in the window of an experiment."""
    check_read(given, ("traces.", "seed"), "testbed traces describe")
    content = describe(with_options(DEFAULTS, given))
    if given.json:
        print_json(content)
        return EXIT_COMPLETE
    recorded, window = content["recorded"], content["window"]
    rows = [
        (label, *(f"{number(part[key])} {unit}".strip() for part in (recorded, window)))
        for key, label, unit in _ROWS
    ]
    rows += [
        (label, f"{content[key]:,}", "") for key, label in _COUNTS if key == "files" or content[key]
    ]
    if content["interpolated"]:
        rows.append(("points interpolated", "", f"{content['interpolated']:,}"))
    rows += [
        ("cells visited", "", f"{content['cells']:,}"),
        ("steps that change cell", "", f"{content['cell_change_share']:.1%}"),
    ]
    print_table(
        ("", "recorded", "in the window"), rows, title=f"{content['source']} ({content['format']})"
    )
    return EXIT_COMPLETE


_ROWS = (
    ("people", "people", ""),
    ("traces", "traces; unbroken segments", ""),
    ("points", "points", ""),
    ("hours", "time", "h"),
    ("interval_s", "step", "s"),
    ("width_m", "area, width", "m"),
    ("height_m", "area, height", "m"),
    ("mean_speed_m_s", "mean speed", "m/s"),
)
_COUNTS = (
    ("files", "files"),
    ("duplicates", "files left out: copies"),
    ("unusable", "files left out: nothing usable"),
    ("bad_lines", "malformed lines skipped"),
    ("off_earth", "positions left out: not on the Earth"),
    ("backwards", "samples left out: time not going on"),
)


def describe(settings: Experiment) -> dict[str, Any]:
    """Return the figures of the traces, ready for JSON.

    Keys: `source`, `format`; `files`, and of what was left out `duplicates` and `unusable` (files),
    `bad_lines`, `off_earth` and `backwards` (samples); `recorded` and `window` (people, traces,
    points, hours, interval_s, width_m, height_m, mean_speed_m_s); how many of the window's points
    are `interpolated`; `cells` visited in the window;
    `cell_change_share`, the share of its steps at which a person's access point changes (0 to 1).
    """
    import numpy as np

    from testbed.movement import load_people
    from traces.schedule import take_walks

    people = load_people(settings)
    walks = take_walks(people.traces, people.access_points)
    changed = np.concatenate([np.diff(walk.attached) != 0 for walk in walks])
    return {
        "source": people.recorded.source,
        "format": people.recorded.format,
        "files": people.recorded.files,
        **asdict(people.recorded.dropped),
        "recorded": _recorded(people.recorded),
        "window": _prepared(people.traces.traces, people.traces.interval_s),
        "interpolated": people.traces.interpolated,
        "cells": len(people.access_points),
        "cell_change_share": float(changed.mean()) if len(changed) else 0.0,
    }


def _recorded(recording: Recording) -> dict[str, float | int]:
    """Return the figures of a recording; on the Earth, of its geodesics."""
    from traces.projection import extent_m, planar, way_m

    if not recording.geographic:
        return _prepared(planar(recording.tracks), recording.interval_s)
    length_m = sum(map(way_m, recording.tracks))
    return _figures(recording.tracks, recording.interval_s, length_m, extent_m(recording.tracks))


def _prepared(traces: Sequence[Trace], interval_s: float) -> dict[str, float | int]:
    """Return the figures of traces in the plane."""
    import numpy as np

    length_m = sum(np.hypot(np.diff(t.x_m), np.diff(t.y_m)).sum() for t in traces)
    width_m, height_m = np.ptp(np.concatenate([t.positions_m for t in traces]), axis=0)
    return _figures(traces, interval_s, float(length_m), (float(width_m), float(height_m)))


def _figures(
    samples: Sequence[Samples], interval_s: float, length_m: float, extent_m: tuple[float, float]
) -> dict[str, float | int]:
    duration_s = sum(float(each.time_s[-1] - each.time_s[0]) for each in samples)
    return {
        "people": len({each.person for each in samples}),
        "traces": len(samples),
        "points": sum(map(len, samples)),
        "hours": duration_s / 3600,
        "interval_s": interval_s,
        "width_m": extent_m[0],
        "height_m": extent_m[1],
        "mean_speed_m_s": length_m / duration_s if duration_s else 0.0,
    }
