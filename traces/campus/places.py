"""Where people of the synthetic campus stop: waypoints with a fractal density, in places.

After SLAW (see traces.campus.synthetic): waypoints are dense in some places and rare between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from testbed.arrays import FloatArray, IntArray
from traces.window import Window

_WAYPOINTS = 2000  # SLAW
_FRACTAL_LEVELS = 7  # halvings of the region's sides: boxes of 12 m x 16 m
_QUARTER_SHARES = (0.58, 0.25, 0.13, 0.04)  # of a box's waypoints, over its quarters at random
_PLACES_A_SIDE = 16  # a place is the waypoints in a box of 94 m x 125 m (SLAW: 100 m)


@dataclass(frozen=True, eq=False)
class Places:
    """The campus's map, the same for everyone."""

    waypoints_m: FloatArray  # x and y of where people stop, (n, 2)
    members: list[IntArray]  # the indices of each place's waypoints
    centres_m: FloatArray  # the mean of each place's waypoints, (places, 2)
    popularity: FloatArray  # each place's share of all waypoints, (places,)


def fractal_places(rng: np.random.Generator, window: Window) -> Places:
    """Strew waypoints over the window and gather them into places: those of a box are one."""
    waypoints_m = fractal_waypoints(rng, window)
    unit = (waypoints_m - _corner_m(window)) / (window.width_m, window.height_m)
    boxes = np.floor(unit * _PLACES_A_SIDE).astype(np.int64) @ (_PLACES_A_SIDE, 1)
    _, place, count = np.unique(boxes, return_inverse=True, return_counts=True)
    members = [np.flatnonzero(place == index) for index in range(len(count))]
    centres_m = np.array([waypoints_m[member].mean(axis=0) for member in members])
    return Places(waypoints_m, members, centres_m, count / count.sum())


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
    return _corner_m(window) + unit * (window.width_m, window.height_m)


def _corner_m(window: Window) -> FloatArray:
    return np.array((window.x_min_m, window.y_min_m))
