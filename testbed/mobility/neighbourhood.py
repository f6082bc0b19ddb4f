"""Which edge servers are near a point, answered for many points at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from testbed.errors import ConfigurationError

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]

NOBODY = -1  # fills rows of servers where a point has fewer than another
_SQUARES_A_RADIUS = 8  # finer squares take more memory, coarser ones more distances to compute
_MOST_SQUARES = 2_000_000


class ServerIndex:
    """The servers nearest to any point.

    Args:
        servers_m: x and y of each of s servers in metres, (s, 2).

    Raises:
        ConfigurationError: there are no servers.
    """

    def __init__(self, servers_m: FloatArray) -> None:
        if not len(servers_m):
            raise ConfigurationError("there are no servers to look up")
        self.servers_m = servers_m
        self._tree = KDTree(servers_m)

    def attached(self, points_m: FloatArray) -> IndexArray:
        """Return the server nearest to each of b points, (b,): the one that people there use."""
        return np.asarray(self._tree.query(points_m)[1], dtype=np.int64)

    def nearest(self, points_m: FloatArray, count: int) -> tuple[IndexArray, FloatArray]:
        """Return the `count` servers nearest to each of b points, and their distances.

        Both (b, count), nearest first; `NOBODY` at an infinite distance where there are fewer.
        """
        distance_m, servers = self._tree.query(points_m, k=range(1, count + 1))
        return np.where(np.isinf(distance_m), NOBODY, servers), distance_m


class Neighbourhood:
    """The servers within a radius of any point.

    The plane is divided into squares. For each, the servers that may be within the radius of a
    point in it are listed once; a look-up then computes the few distances that are left open.

    Args:
        servers_m: x and y of each of s servers in metres, (s, 2).
        radius_m: how far a server may be to be near.

    Raises:
        ConfigurationError: there are no servers, or the radius is not positive.
    """

    def __init__(self, servers_m: FloatArray, radius_m: float) -> None:
        if not len(servers_m):
            raise ConfigurationError("there are no servers to look up")
        if not radius_m > 0:
            raise ConfigurationError(f"a radius of {radius_m:g} m must be above 0 m")
        self.radius_m = radius_m
        low, high = servers_m.min(axis=0) - radius_m, servers_m.max(axis=0) + radius_m
        size_m = high - low
        self._pitch_m = float(
            max(
                radius_m / _SQUARES_A_RADIUS,
                np.sqrt(size_m.prod() / _MOST_SQUARES),
                size_m.max() / _MOST_SQUARES,  # where all stand on a line
            )
        )
        self._low_m = low
        self._shape = np.ceil(size_m / self._pitch_m).astype(np.int64) + 1  # columns, rows
        columns, rows = (np.arange(size) + 0.5 for size in self._shape)
        centres_m = low + self._pitch_m * np.stack(
            np.meshgrid(columns, rows, indexing="ij"), axis=-1
        ).reshape(-1, 2)
        diagonal_m = self._pitch_m * np.sqrt(2.0)
        self._near = _padded(
            KDTree(servers_m).query_ball_point(centres_m, radius_m + diagonal_m / 2)
        )
        # A server infinitely far away stands for none.
        self._servers_m = np.vstack((servers_m, (np.inf, np.inf)))

    def within(self, points_m: FloatArray) -> tuple[IndexArray, FloatArray]:
        """Return the servers within the radius of each of b points, and their distances.

        Both (b, k), in no order, with `NOBODY` at an infinite distance where there are fewer.
        """
        square = np.floor((points_m - self._low_m) / self._pitch_m)
        # Whoever is outside the raster has no server near, and finds none in its outermost squares.
        column, row = np.clip(square, 0, self._shape - 1).astype(np.int64).T
        servers = self._near[column * self._shape[1] + row]  # (b, k)
        offset_m = self._servers_m[servers] - points_m[:, np.newaxis]
        distance_m = np.sqrt(offset_m[..., 0] ** 2 + offset_m[..., 1] ** 2)
        far = distance_m > self.radius_m
        distance_m[far] = np.inf
        return np.where(far, NOBODY, servers), distance_m


def _padded(lists: npt.NDArray[np.object_]) -> IndexArray:
    """Return lists of indices as rows of equal length, filled with `NOBODY`."""
    lengths = np.array([len(each) for each in lists])
    table = np.full((len(lists), max(int(lengths.max(initial=0)), 1)), NOBODY, dtype=np.int64)
    table[np.arange(table.shape[1]) < lengths[:, np.newaxis]] = np.concatenate(
        [np.asarray(each, dtype=np.int64) for each in lists]
    )
    return table
