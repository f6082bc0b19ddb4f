"""A synthetic campus, for whoever has no traces: a self-similar least-action walk.

After SLAW (Lee, Hong, Kim, Rhee, Chong, "SLAW: a new mobility model for human walks", INFOCOM
2009). Where people stop is fractal: waypoints are dense in some places and rare between them.
Everyone has a home and a few places near it, and tours through some of the waypoints there and
through one elsewhere now and then, mostly taking the nearest one next (least-action trip planning).
At each waypoint they pause for a time that follows a truncated power law. A flight is at constant
speed: short ones are walked; long ones are ridden, since a quarter of the distance in KAIST is
covered at more than 3 m/s.

The constants named so are SLAW's; the others were set so that the campus resembles KAIST in the
paper's window. KAIST, and the mean (least to most) of 20 seeds:

    mean speed                      0.46 m/s    0.50 m/s (0.46 to 0.55)
    steps that change cell          16 %        17 % (15 to 18)
    cells of 50 m visited           351         380 (325 to 416)
    steps that stand still          44 %        58 % (56 to 59)
    cells a day, median             26          22 (19 to 28)

People of the campus are more predictable: they walk straight from waypoint to waypoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traces.trace import FloatArray, Trace, TraceSet
from traces.window import KAIST_WINDOW, Window

SOURCE = "synthetic campus"
PEOPLE = 92  # as many as KAIST has
INTERVAL_S = 30.0
WINDOW = KAIST_WINDOW

_WAYPOINTS = 2000  # SLAW
_FRACTAL_LEVELS = 7  # halvings of the region's sides: boxes of 12 m x 16 m
_QUARTER_SHARES = (0.58, 0.25, 0.13, 0.04)  # of a box's waypoints, over its quarters at random

_PLACES_A_SIDE = 16  # a place is the waypoints in a box of 94 m x 125 m (SLAW: 100 m)
_OWN_PLACES = (2, 4)  # at least and at most, besides home
_DETOUR_PROBABILITY = 0.3  # of a tour to lead to a place that is not one's own
_NEARNESS = 2.2  # a place is chosen in inverse proportion to this power of its distance from home
_NEAREST_PLACE_M = 50.0

_SHARE_OF_WAYPOINTS = 0.06  # of a place, visited on one tour (SLAW: 5 to 10 %)
_LEAST_ACTION = 3.0  # SLAW's alpha: a waypoint is next in inverse proportion to distance ** alpha
_NEAREST_WAYPOINT_M = 1.0

_PAUSE_EXPONENT = 0.905
_PAUSE_S = (15.0, 4 * 3600.0)
_WALK_MPS = 1.0  # SLAW
_RIDE_MPS = 4.0
_RIDE_FROM_M = 200.0

_DAY_S = (4.2 * 3600, 23.3 * 3600)  # KAIST's shortest and longest day; the median is 11.8 hours
_MEDIAN_DAY_S = 11.8 * 3600
_DAY_SIGMA = 0.45

IndexArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Places:
    waypoints_m: FloatArray  # (n, 2)
    members: list[IndexArray]  # the waypoints of each place
    centres_m: FloatArray  # (places, 2)
    popularity: FloatArray  # share of all waypoints, (places,)


def synthetic_campus(seed: int, people: int = PEOPLE) -> TraceSet:
    """Return one day of each of `people`, every 30 s; the same for the same seed.

    A person's day does not depend on how many people there are.
    """
    map_seed, *person_seeds = np.random.SeedSequence(seed).spawn(people + 1)
    places = _group(fractal_waypoints(np.random.default_rng(map_seed), WINDOW))
    traces = tuple(
        _day(f"campus_{number:03d}", places, np.random.default_rng(person_seed))
        for number, person_seed in enumerate(person_seeds, start=1)
    )
    return TraceSet(traces, SOURCE, INTERVAL_S)


def fractal_waypoints(rng: np.random.Generator, window: Window) -> FloatArray:
    """Return waypoints in metres whose density is self-similar, (n, 2).

    The density is a multiplicative cascade: the region is quartered again and again, and each box
    hands its waypoints to its quarters in the same shares, arranged at random.
    """
    density = np.ones((1, 1))
    for _ in range(_FRACTAL_LEVELS):
        rows, columns = density.shape
        shares = rng.permuted(np.tile(_QUARTER_SHARES, (rows, columns, 1)), axis=-1)
        quarters = shares.reshape(rows, columns, 2, 2).swapaxes(1, 2)
        density = np.kron(density, np.ones((2, 2))) * quarters.reshape(2 * rows, 2 * columns)
    boxes = rng.choice(density.size, _WAYPOINTS, p=density.ravel())
    column_row = np.column_stack(np.unravel_index(boxes, density.shape))
    unit = (column_row + rng.random((_WAYPOINTS, 2))) / len(density)  # (n, 2) in [0, 1)
    corner_m = np.array((window.x_min_m, window.y_min_m))
    points_m: FloatArray = corner_m + unit * (window.width_m, window.height_m)
    return points_m


def _group(waypoints_m: FloatArray) -> _Places:
    """Gather waypoints into places; boxes without any waypoint are no places."""
    unit = (waypoints_m - (WINDOW.x_min_m, WINDOW.y_min_m)) / (WINDOW.width_m, WINDOW.height_m)
    boxes = np.floor(unit * _PLACES_A_SIDE).astype(np.int64) @ (_PLACES_A_SIDE, 1)
    _, place, count = np.unique(boxes, return_inverse=True, return_counts=True)
    members = [np.flatnonzero(place == index) for index in range(len(count))]
    centres_m = np.array([waypoints_m[member].mean(axis=0) for member in members])
    return _Places(waypoints_m, members, centres_m, count / count.sum())


def _day(name: str, places: _Places, rng: np.random.Generator) -> Trace:
    """Return one person's day, sampled every `INTERVAL_S` from start to end."""
    length_s = np.clip(_MEDIAN_DAY_S * np.exp(_DAY_SIGMA * rng.standard_normal()), *_DAY_S)
    time_s = [0.0]
    knots_m: list[FloatArray] = []
    for stop_m, pause_s in _stops(places, rng):
        if knots_m:
            time_s.append(time_s[-1] + _flight_s(knots_m[-1], stop_m))
        time_s.append(time_s[-1] + pause_s)
        knots_m += [stop_m, stop_m]
        if time_s[-1] > length_s:
            break
    sample_s = np.arange(0.0, length_s, INTERVAL_S)
    x_m, y_m = (np.interp(sample_s, time_s, axis) for axis in np.array(knots_m).T)
    return Trace(name, name, sample_s, x_m, y_m)


def _stops(places: _Places, rng: np.random.Generator) -> Iterator[tuple[FloatArray, float]]:
    """Yield where a person stops and for how long, tour after tour without end."""
    home = rng.choice(len(places.members), p=places.popularity)
    distance_m = np.hypot(*(places.centres_m - places.centres_m[home]).T)
    appeal = places.popularity * np.maximum(distance_m, _NEAREST_PLACE_M) ** -_NEARNESS
    appeal /= appeal.sum()
    own_places = rng.integers(*_OWN_PLACES, endpoint=True)
    own = {home, *rng.choice(len(appeal), own_places, replace=False, p=appeal)}
    here_m = places.waypoints_m[rng.choice(places.members[home])]
    while True:
        detour = rng.random() < _DETOUR_PROBABILITY
        visited = own | {rng.choice(len(appeal), p=appeal)} if detour else own
        errands = [_some(places.members[place], rng) for place in sorted(visited)]
        stops_m = places.waypoints_m[np.concatenate(errands)]
        stops_m = stops_m[least_action_order(here_m, stops_m, rng)]
        yield from zip(stops_m, _pauses_s(len(stops_m), rng), strict=True)
        here_m = stops_m[-1]


def _some(members: IndexArray, rng: np.random.Generator) -> IndexArray:
    count = int(np.ceil(_SHARE_OF_WAYPOINTS * len(members)))
    return rng.choice(members, count, replace=False)


def least_action_order(
    start_m: FloatArray, stops_m: FloatArray, rng: np.random.Generator
) -> list[int]:
    """Return the order in which a person who stands at `start_m` visits all stops, (n, 2).

    From each stop, one of those left is next with a probability in inverse proportion to a power
    of its distance: mostly a near one.
    """
    points_m = np.vstack((stops_m, start_m))
    distance_m = np.hypot(*(points_m[:, np.newaxis] - stops_m).T).T  # (n + 1, n)
    weight = np.maximum(distance_m, _NEAREST_WAYPOINT_M) ** -_LEAST_ACTION
    order: list[int] = []
    here = len(stops_m)
    for draw in rng.random(len(stops_m)):
        cumulative = weight[here].cumsum()
        here = int(cumulative.searchsorted(draw * cumulative[-1], side="right"))
        order.append(here)
        weight[:, here] = 0.0
    return order


def _pauses_s(count: int, rng: np.random.Generator) -> FloatArray:
    """Draw from a power law truncated at both ends, by its inverse distribution function."""
    shortest, longest = (limit_s**-_PAUSE_EXPONENT for limit_s in _PAUSE_S)
    pauses_s: FloatArray = rng.uniform(longest, shortest, count) ** (-1 / _PAUSE_EXPONENT)
    return pauses_s


def _flight_s(from_m: FloatArray, to_m: FloatArray) -> float:
    distance_m = float(np.hypot(*(to_m - from_m)))
    return distance_m / (_WALK_MPS if distance_m < _RIDE_FROM_M else _RIDE_MPS)
