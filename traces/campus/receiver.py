"""What a receiver carried through the synthetic campus reports.

Most of KAIST's small-scale movement is its receivers'. People move on 58 % of its steps, but on
60 % of those they stay where they are: the median positions of the 5 minutes before and after lie
within 25 m. There the reported position wanders about a place, and now and then leaps away and
back; or it does not change at all, since the receiver hears nothing.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from testbed.arrays import FloatArray, IntArray
from traces.campus.route import CampusRoute
from traces.window import Window

_FIX_S = 5.0  # positions between two fixes are interpolated

# Where people of KAIST stay, the median ways of 0.5, 1, 1.5, 2.5, 5 and 10 minutes are 8, 11, 12,
# 13, 13 and 13 m long. The first is 0.61 times the last: a correlation of 0.6 after 30 s, which
# decays by e in 55 s.
_WANDER_S = 55.0
# The 90th and 99th percentile of the distance from a stay's middle are 2.9 and 7.6 times its median
# of 10 m, but those of a normal error 1.8 and 2.6 times: the error's scale varies. Its median, and
# the deviation of its logarithm, were set by the hit ratios and steps in traces.campus.synthetic.
_WANDER_M = 8.0
_WANDER_SPREAD = 0.9

# KAIST's positions stand still to the last digit on 42 % of the steps, in runs that hardly ever
# last less than 4 minutes: shorter gaps in reception have been bridged.
_LOSS_FROM_S = 300.0
_LOSS_PROBABILITY = 0.55


def receive(
    route: CampusRoute, length_s: float, window: Window, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return times from 0 to at least `length_s`, (n,), and the positions reported then, (n, 2)."""
    fix_s = np.arange(0.0, length_s + _FIX_S, _FIX_S)
    seen_m = route.at(fix_s) + wander_m(len(fix_s), rng)
    seen_m = seen_m.clip((window.x_min_m, window.y_min_m), (window.x_max_m, window.y_max_m))
    return fix_s, seen_m[last_heard(route, fix_s, rng)]


def wander_m(count: int, rng: np.random.Generator) -> FloatArray:
    """Return how far fixes lie from the route, metres, (count, 2): multipath, and steps indoors.

    It is correlated in time and has heavy tails: the two axes are Ornstein-Uhlenbeck processes, and
    so is the logarithm of their common scale.
    """
    correlation = np.exp(-_FIX_S / _WANDER_S)
    shocks = rng.standard_normal((count, 3))
    shocks[1:] *= np.sqrt(1 - correlation**2)  # the variance is 1 from the first fix on
    processes = lfilter([1.0], [1.0, -correlation], shocks, axis=0)
    scale_m = _WANDER_M * np.exp(_WANDER_SPREAD * processes[:, 2:])
    return scale_m * processes[:, :2]


def last_heard(route: CampusRoute, fix_s: FloatArray, rng: np.random.Generator) -> IntArray:
    """Return for each of n fixes the index of the one reported then: the last one heard, (n,).

    On some of the long pauses, which people make indoors, nothing is heard until they leave.
    """
    long = route.leave_s - route.arrive_s >= _LOSS_FROM_S
    lost = long & (rng.random(len(long)) < _LOSS_PROBABILITY)
    stop = np.maximum(np.searchsorted(route.arrive_s, fix_s) - 1, 0)
    heard = ~lost[stop] | (fix_s >= route.leave_s[stop])
    heard[0] = True
    return np.maximum.accumulate(np.where(heard, np.arange(len(fix_s)), 0))
