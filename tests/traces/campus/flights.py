"""Pauses and flights: how Rhee et al. cut a person's day into stays and straight ways.

After their rectangular model ("On the Levy-walk nature of human mobility", INFOCOM 2008, IEEE/ACM
Transactions on Networking 2011), for positions every 30 s: whoever moves no further than r from
one position to the next pauses; a flight is a straight way without a pause, all of whose positions
lie within w of the line from its first to its last, and which the next position would not prolong.
Both distances are parameters of the model. r = 5 m is a pace of 0.17 m/s, far below any walk and
above the receivers' error in the open, 3 m; w is the same.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from testbed.arrays import FloatArray
from traces.trace import Trace

PAUSE_RADIUS_M = 5.0  # r
FLIGHT_WIDTH_M = 5.0  # w


def pauses_s(trace: Trace, radius_m: float = PAUSE_RADIUS_M) -> FloatArray:
    """Return how long each pause lasts in seconds, (p,), from first to last; r is `radius_m`."""
    return np.array(
        [np.ptp(trace.time_s[run]) for run, moves in _runs(trace, radius_m) if not moves]
    )


def flights_m(
    trace: Trace, radius_m: float = PAUSE_RADIUS_M, width_m: float = FLIGHT_WIDTH_M
) -> FloatArray:
    """Return the distance between the ends of each flight in metres, (f,), from first to last.

    r is `radius_m`, w is `width_m`.
    """
    positions_m = trace.positions_m
    ways_m = (positions_m[run] for run, moves in _runs(trace, radius_m) if moves)
    return np.array([length_m for way in ways_m for length_m in _straight_ways_m(way, width_m)])


def _runs(trace: Trace, radius_m: float) -> list[tuple[slice, bool]]:
    """Return the trace as runs of samples that pause and move by turns, and which of both.

    The last sample of a run is the first of the next.
    """
    if len(trace) < 2:
        return []
    moves = np.hypot(np.diff(trace.x_m), np.diff(trace.y_m)) > radius_m
    turns = (np.flatnonzero(np.diff(moves)) + 1).tolist()
    ends = pairwise([0, *turns, len(moves)])
    return [(slice(start, stop + 1), bool(moves[start])) for start, stop in ends]


def _straight_ways_m(positions_m: FloatArray, width_m: float) -> list[float]:
    """Return the lengths of the flights that (m, 2) positions without a pause fall into."""
    lengths_m = []
    start, last = 0, len(positions_m) - 1
    while start < last:
        ways_m = positions_m[start + 1 :] - positions_m[start]  # from the flight's start, (k, 2)
        end = 0
        while end + 1 < len(ways_m) and _is_straight(ways_m[: end + 2], width_m):
            end += 1
        lengths_m.append(float(np.hypot(*ways_m[end])))
        start += end + 1
    return lengths_m


def _is_straight(ways_m: FloatArray, width_m: float) -> bool:
    """Say whether ways from one start, (k, 2), end within `width_m` of the line to the last end."""
    x_m, y_m = ways_m[-1]
    length_m = np.hypot(x_m, y_m)
    areas_m2 = np.abs(ways_m[:-1] @ (y_m, -x_m))  # distances from the line, times its length
    return bool(length_m > 0 and areas_m2.max() <= width_m * length_m)
