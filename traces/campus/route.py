"""A person's true way through the synthetic campus: tours of stops, with flights between them.

After SLAW (see traces.campus.synthetic). Constants without a source were set so that the campus,
seen as receivers see it (traces.campus.receiver), resembles KAIST in the figures of
traces.campus.synthetic.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from testbed.arrays import FloatArray, IntArray
from traces.campus.places import Places

_OWN_PLACES = (2, 4)  # at least and at most, besides home
_DETOUR_PROBABILITY = 0.3  # of a tour to lead to a place that is not one's own
_NEARNESS = 2.2  # a place is chosen in inverse proportion to this power of its distance from home
_NEAREST_PLACE_M = 50.0

_SHARE_OF_WAYPOINTS = 0.06  # of a place, visited on one tour (SLAW: 5 to 10 %)
_LEAST_ACTION = 3.0  # SLAW's alpha: a waypoint is next in inverse proportion to distance ** alpha
_NEAREST_WAYPOINT_M = 1.0

_PAUSE_EXPONENT = 0.5  # so people are on their way for a tenth of the time
_PAUSE_S = (15.0, 4 * 3600.0)
_WALK_MPS = 1.25  # KAIST's straight steps of 30 s are 30 to 45 m long
_RIDE_MPS = 6.0
_RIDE_FROM_M = 300.0  # so 27 % of the distance is covered at more than 3 m/s; KAIST: 28 %


@dataclass(frozen=True, eq=False)
class CampusRoute:
    """Stops, and straight flights at constant speed from one to the next."""

    stops_m: FloatArray  # x and y of each stop, (n, 2)
    arrive_s: FloatArray  # when the pause there begins, (n,); the first at 0
    leave_s: FloatArray  # when it ends, (n,)

    def at(self, time_s: FloatArray) -> FloatArray:
        """Return the positions at m times in metres, (m, 2)."""
        knots_s = np.column_stack((self.arrive_s, self.leave_s)).ravel()
        knots_m = self.stops_m.repeat(2, axis=0)
        return np.column_stack([np.interp(time_s, knots_s, axis_m) for axis_m in knots_m.T])


def day_route(places: Places, length_s: float, rng: np.random.Generator) -> CampusRoute:
    """Return where one person is from 0 to at least `length_s`."""
    stops_m: list[FloatArray] = []
    arrive_s: list[float] = []
    leave_s: list[float] = []
    for stop_m, pause_s in _stops(places, rng):
        arrive_s.append(leave_s[-1] + _flight_s(stops_m[-1], stop_m) if stops_m else 0.0)
        leave_s.append(arrive_s[-1] + pause_s)
        stops_m.append(stop_m)
        if leave_s[-1] > length_s:
            break
    return CampusRoute(np.array(stops_m), np.array(arrive_s), np.array(leave_s))


def _stops(places: Places, rng: np.random.Generator) -> Iterator[tuple[FloatArray, float]]:
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


def _some(members: IntArray, rng: np.random.Generator) -> IntArray:
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
    return rng.uniform(longest, shortest, count) ** (-1 / _PAUSE_EXPONENT)


def _flight_s(from_m: FloatArray, to_m: FloatArray) -> float:
    distance_m = float(np.hypot(*(to_m - from_m)))
    return distance_m / (_WALK_MPS if distance_m < _RIDE_FROM_M else _RIDE_MPS)
