"""Movement that is given by its waypoints, linear between them, sampled at regular times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from testbed.errors import TraceError
from traces.recording import Track
from traces.trace import FloatArray

_MOST_SAMPLES = 100_000_000  # of a track; more than this is no scenario but a mistake


def sampled(path: Path, name: str, waypoints: FloatArray, step_s: float, until_s: float) -> Track:
    """Return someone's positions at the multiples of `step_s` from first waypoint to `until_s`.

    Args:
        path: of the file that it is in.
        waypoints: rows of seconds (not decreasing), x and y, (n, 3); at the last one, people stay.

    Raises:
        TraceError: these would be far too many.
    """
    time_s, x_m, y_m = waypoints.T
    first, last = np.ceil(time_s[0] / step_s), np.floor(until_s / step_s)
    if not last - first < _MOST_SAMPLES:
        raise TraceError(
            f"{path}: {name} moves for {until_s - time_s[0]:g} s, far too long for steps of"
            f" {step_s:g} s; check times and speeds there, or set traces.interval_s"
        )
    steps_s = np.arange(first, last + 1) * step_s
    return Track(
        name, name, steps_s, np.interp(steps_s, time_s, x_m), np.interp(steps_s, time_s, y_m)
    )
