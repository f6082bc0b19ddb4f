"""Movement that is given by its waypoints, linear between them, sampled at regular times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from testbed.arrays import FloatArray
from testbed.errors import TraceError
from traces.recording import Track

# More than these are no scenario but a mistake.
_MAX_SAMPLES = 2_000_000  # of a node: 23 days at a step of 1 s
_MAX_IN_ALL = 50_000_000  # 1.2 GB
_FURTHEST = 1e15  # seconds or metres from 0; beyond it, too few decimals are left to move by


def sampled(
    path: Path, ways: Mapping[str, FloatArray], step_s: float, until_s: float | None = None
) -> tuple[Track, ...]:
    """Return everyone's positions at the multiples of `step_s` from first waypoint to `until_s`.

    `ways` in the file at `path` are, by name, rows of seconds (not decreasing), x and y, (n, 3); at
    the last one, people stay: until `until_s`, or for None just until then. Raises TraceError if
    the positions would be far too many, or a time or a place is beyond all bounds.
    """
    for name, way in ways.items():
        if not (furthest := np.abs(way).max()) <= _FURTHEST:
            raise TraceError(
                f"{path}: {name} has a time (s) or a place (m) of {furthest:g}, beyond"
                f" {_FURTHEST:g}; check times, places and speeds there"
            )
    ends = {name: way[-1, 0] if until_s is None else until_s for name, way in ways.items()}
    counts = {name: (ends[name] - way[0, 0]) / step_s for name, way in ways.items()}
    for name, count in counts.items():
        if not count <= _MAX_SAMPLES:
            raise TraceError(
                f"{path}: {name} moves for {ends[name] - ways[name][0, 0]:g} s, far too long for"
                f" steps of {step_s:g} s; check times and speeds there, or set traces.interval_s"
            )
    if not (in_all := sum(counts.values())) <= _MAX_IN_ALL:
        raise TraceError(
            f"{path}: {len(ways)} nodes have {in_all:.6g} positions at steps of {step_s:g} s, more"
            f" than {_MAX_IN_ALL}; set traces.interval_s"
        )
    return tuple(_sampled(name, way, step_s, ends[name]) for name, way in ways.items())


def _sampled(name: str, way: FloatArray, step_s: float, until_s: float) -> Track:
    time_s, x_m, y_m = way.T
    steps_s = np.arange(np.ceil(time_s[0] / step_s), np.floor(until_s / step_s) + 1) * step_s
    return Track(name, name, steps_s, *(np.interp(steps_s, time_s, axis) for axis in (x_m, y_m)))
