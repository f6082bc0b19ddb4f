"""A synthetic campus, for whoever has no traces: a self-similar least-action walk, as GPS sees it.

After SLAW (Lee, Hong, Kim, Rhee, Chong, "SLAW: a new mobility model for human walks", INFOCOM
2009). Where people stop is fractal (traces.campus.places). Everyone has a home and a few places
near it, and tours through some of the waypoints there and through one elsewhere now and then,
mostly taking the nearest one next (least-action trip planning). At each waypoint they pause for a
time that follows a truncated power law. A flight is at constant speed: short ones are walked; long
ones are ridden (traces.campus.route). The receivers that people carry report a position that
wanders about the true one, and the last one while they hear nothing (traces.campus.receiver).

The figures are those of tests/traces/campus/test_synthetic.py. KAIST in the paper's window, and the
mean (least to most) of 20 seeds:

    mean speed                       0.46 m/s    0.46 m/s (0.43 to 0.51)
    steps that change cell           16 %        16 % (15 to 17)
    steps that stand still           44 %        44 % (40 to 48)
    cells of 50 m visited            351         385 (347 to 410)
    cells a day, median              26          24 (22 to 28)
    back to the cell before          39 %        40 % (38 to 43), of the changes
    stays in a cell of one step      44 %        48 % (47 to 50)
    correlation of successive steps  0.22        0.29 (0.23 to 0.40)
    pauses up to 1, 5, 30 minutes    74 91 97 %  75 91 97 % (+- 2 each)
    flights up to 20, 50, 150 m      41 76 95 %  45 81 97 % (+- 2 each)
    distance of pauses from KAIST's  0.03        0.03 (0.02 to 0.04), Kolmogorov-Smirnov
    distance of flights              0.03        0.06 (0.05 to 0.07); KAIST's are of its halves

A linear SVR is as good at either. KAIST, the mean (least to most) of 20 splits of its people, and
the mean (least to most) of 20 seeds:

    its mean error                   13.5 m (11.8 to 15.1)      14.4 m (13.0 to 16.0)
    predictions that are non-futile  15.6 % (13.0 to 17.2)      15.9 % (14.0 to 17.8)
    top-1                            10 % (7 to 11)             10 % (6 to 14)
    top-2                            56 % (53 to 59)            54 % (51 to 58)
    hit ratio at r = 50 m            40 % (36 to 42)            38 % (34 to 42)
                     70 m            81 % (77 to 83)            79 % (74 to 84)
                     100 m           91 % (89 to 94)            91 % (86 to 94)
    new offers a handover, 50 m      0.54 (0.50 to 0.58)        0.59 (0.50 to 0.69)
                           100 m     1.75 (1.66 to 1.83)        1.75 (1.55 to 1.93)

What it lacks: rides go straight, so steps 1 minute apart correlate by 0.2, where KAIST's hardly do.
"""

from __future__ import annotations

import numpy as np

from testbed.errors import ConfigurationError
from traces.campus.places import Places, fractal_places
from traces.campus.receiver import receive
from traces.campus.route import day_route
from traces.trace import Trace, TraceSet
from traces.window import KAIST_WINDOW

SOURCE = "synthetic campus"
PEOPLE = 92  # as many as KAIST has
INTERVAL_S = 30.0  # KAIST's
WINDOW = KAIST_WINDOW

_DAY_S = (4.2 * 3600, 23.3 * 3600)  # KAIST's shortest and longest day; the median is 11.8 hours
_MEDIAN_DAY_S = 11.8 * 3600
_DAY_SIGMA = 0.45


def synthetic_campus(seed: int, people: int = PEOPLE, interval_s: float = INTERVAL_S) -> TraceSet:
    """Return one day of each of `people`, every `interval_s`; the same for the same seed.

    A person's day does not depend on how many people there are, nor the movement on the interval:
    all intervals give the same positions at the times that they share. Raises ConfigurationError
    if the interval is not positive.
    """
    if not interval_s > 0:
        raise ConfigurationError(f"an interval of {interval_s:g} s must be above 0 s")
    map_seed, *person_seeds = np.random.SeedSequence(seed).spawn(people + 1)
    places = fractal_places(np.random.default_rng(map_seed), WINDOW)
    traces = tuple(
        _day(f"campus_{number:03d}", places, interval_s, np.random.default_rng(person_seed))
        for number, person_seed in enumerate(person_seeds, start=1)
    )
    return TraceSet(traces, SOURCE, interval_s)


def _day(name: str, places: Places, interval_s: float, rng: np.random.Generator) -> Trace:
    """Return one person's day, sampled every `interval_s` from start to end."""
    length_s = float(np.clip(_MEDIAN_DAY_S * np.exp(_DAY_SIGMA * rng.standard_normal()), *_DAY_S))
    fix_s, seen_m = receive(day_route(places, length_s, rng), length_s, WINDOW, rng)
    sample_s = np.arange(0.0, length_s, interval_s)
    x_m, y_m = (np.interp(sample_s, fix_s, axis_m) for axis_m in seen_m.T)
    return Trace(name, name, sample_s, x_m, y_m)
