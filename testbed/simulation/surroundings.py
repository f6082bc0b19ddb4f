"""The access points around many places, looked up together."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from math import inf

import numpy as np

from testbed.arrays import FloatArray
from testbed.mobility.neighbourhood import NOBODY, Neighbourhood
from testbed.values import AccessPoint, names_around


def neighbourhood_of(
    access_points: Sequence[AccessPoint], reach_m: float | None
) -> Neighbourhood | None:
    """Return the access points up to a reach, to be looked up at once; None where there is none."""
    if reach_m is None or not 0 < reach_m < inf:
        return None
    return Neighbourhood(np.array([(each.x_m, each.y_m) for each in access_points]), reach_m)


class Surroundings:
    """The access points around b places, (b, 2).

    `known` are these access points up to the radius that is asked for most; without it, and for
    greater ones, each place is looked up when it is asked for.
    """

    def __init__(
        self,
        access_points: Sequence[AccessPoint],
        places_m: FloatArray,
        known: Neighbourhood | None,
    ) -> None:
        self._access_points = access_points
        self.places_m: list[list[float]] = places_m.tolist()
        # Whether each is another than the one before, (b,): people stay, and are looked up once
        self.new = np.append(True, (places_m[1:] != places_m[:-1]).any(axis=1))[: len(places_m)]
        self._reach_m = -1.0 if known is None else known.radius_m
        if known is None:
            return
        servers, distance_m = known.within(places_m[self.new])
        order = np.argsort(distance_m, axis=1, kind="stable")
        servers = np.take_along_axis(servers, order, axis=1)
        self._distance_m = np.take_along_axis(distance_m, order, axis=1)
        self._row = (np.cumsum(self.new) - 1).tolist()
        names = np.array([each.name for each in access_points], dtype=object)[servers].tolist()
        counts = (servers != NOBODY).sum(axis=1).tolist()
        self._names = [tuple(row[:count]) for row, count in zip(names, counts, strict=True)]

    def around(self, place: int, radius_m: float) -> Sequence[str]:
        """Return the access points within `radius_m` of a place, nearest first."""
        if radius_m == self._reach_m:
            return self._names[self._row[place]]
        if radius_m < self._reach_m:
            row = self._row[place]
            return self._names[row][: bisect_right(self._distance_m[row], radius_m)]
        x_m, y_m = self.places_m[place]
        return names_around(self._access_points, x_m, y_m, radius_m)
