"""Where access points stand: one, with its edge server, in each cell that anyone visits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from testbed.arrays import FloatArray, IntArray
from testbed.errors import ConfigurationError
from testbed.values import AccessPoint
from topologies.hexgrid import HexGrid

_FURTHEST_M = 1e9  # from the origin, along x or y: 25 times round the Earth


class Path(Protocol):
    """Anything with positions in metres, (n,) each, such as a trace."""

    @property
    def x_m(self) -> FloatArray:
        """Metres eastwards, (n,)."""

    @property
    def y_m(self) -> FloatArray:
        """Metres northwards, (n,)."""


def visited_cells(grid: HexGrid, paths: Iterable[Path]) -> IntArray:
    """Return the cells (q, r) that any path has a position in, row by row, (m, 2).

    Rows go from south to north, cells in a row from west to east. Raises ConfigurationError if a
    position is too far away to be in any cell.
    """
    cells = [np.empty((0, 2), dtype=np.int64)]
    for path in paths:
        furthest_m = np.abs(np.concatenate((path.x_m, path.y_m))).max(initial=0.0)
        if not furthest_m <= _FURTHEST_M:
            raise ConfigurationError(
                f"a position at {furthest_m:g} m lies beyond {_FURTHEST_M:g} m, where no access"
                " points are placed; check the traces' coordinates, or set traces.window_m"
            )
        cells.append(np.unique(grid.cell_of(path.x_m, path.y_m), axis=0))
    unique = np.unique(np.concatenate(cells), axis=0)
    return unique[np.lexsort((unique[:, 0], unique[:, 1]))]


def place_access_points(grid: HexGrid, paths: Iterable[Path]) -> tuple[AccessPoint, ...]:
    """Return an access point at the centre of each visited cell (section IV.B).

    They are named ap1, ap2, ... in the order of `visited_cells`.
    """
    centres = grid.centre(visited_cells(grid, paths))
    return tuple(
        AccessPoint(f"ap{number}", float(x_m), float(y_m))
        for number, (x_m, y_m) in enumerate(centres, start=1)
    )


def near_paths(
    access_points: Sequence[AccessPoint], positions_m: FloatArray, margin_m: float = 150.0
) -> tuple[AccessPoint, ...]:
    """Return, in their order, the access points within `margin_m` of any of (n, 2) positions.

    The default margin holds the servers that a prediction one interval ahead may name: a walk of
    30 s, and a radius of migration of 100 m (section IV.B) around where it ends.
    """
    return tuple(
        ap
        for ap in access_points
        if (np.hypot(positions_m[:, 0] - ap.x_m, positions_m[:, 1] - ap.y_m) <= margin_m).any()
    )
