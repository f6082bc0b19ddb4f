"""The hexagonal grid of cells that access points serve (section IV.B)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from testbed.arrays import FloatArray, IntArray
from testbed.errors import ConfigurationError

_SQRT3 = 3.0**0.5


@dataclass(frozen=True)
class HexGrid:
    """Regular hexagons that stand on a corner, in rows along x.

        / \\ / \\ / \\        A cell has axial coordinates (q, r): q counts cells eastwards along a
       |0,1|1,1|2,1|       row, r counts rows northwards, each row half a cell further east.
      / \\ / \\ / \\ /        Centres of one row are sqrt(3) circumradii apart, rows 1.5.
     |0,0|1,0|2,0|
      \\ / \\ / \\ /

    Raises ConfigurationError if the circumradius is not positive.
    """

    circumradius_m: float  # from a cell's centre to its corners; 50 m is a Wi-Fi AP's range
    origin_m: tuple[float, float] = (0.0, 0.0)  # x and y of the centre of cell (0, 0)

    def __post_init__(self) -> None:
        if not (radius_m := self.circumradius_m) > 0:
            raise ConfigurationError(f"a cell's circumradius of {radius_m:g} m must be above 0 m")

    def cell_of(self, x_m: npt.ArrayLike, y_m: npt.ArrayLike) -> IntArray:
        """Return the cells (q, r) that n positions lie in, (n, 2).

        Axial coordinates are rounded as cube coordinates q + r + s = 0, where the one that rounding
        moved furthest is taken from the other two.
        """
        x = (np.asarray(x_m, dtype=np.float64) - self.origin_m[0]) / self.circumradius_m
        y = (np.asarray(y_m, dtype=np.float64) - self.origin_m[1]) / self.circumradius_m
        cube = np.stack((x / _SQRT3 - y / 3, y * 2 / 3, -x / _SQRT3 - y / 3), axis=-1)  # (n, 3)
        rounded = np.rint(cube)
        moved = np.abs(rounded - cube)
        q, r, s = np.moveaxis(rounded, -1, 0)
        furthest = moved.argmax(axis=-1)
        cells = np.stack((np.where(furthest == 0, -r - s, q), np.where(furthest == 1, -q - s, r)))
        return np.moveaxis(cells, 0, -1).astype(np.int64)

    def centre(self, cells: npt.ArrayLike) -> FloatArray:
        """Return x and y in metres of the centres of cells (q, r), (n, 2)."""
        q, r = np.moveaxis(np.asarray(cells, dtype=np.float64), -1, 0)
        x_m = self.origin_m[0] + self.circumradius_m * _SQRT3 * (q + r / 2)
        y_m = self.origin_m[1] + self.circumradius_m * 1.5 * r
        return np.stack((x_m, y_m), axis=-1)
