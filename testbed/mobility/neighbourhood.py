"""Which edge servers are near a point, answered for many points at once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.spatial import KDTree

from testbed.arrays import FloatArray, IntArray
from testbed.errors import ConfigurationError

NOBODY = -1  # fills rows of servers where a point has fewer than another
_SQUARES_A_RADIUS = 8  # finer squares take more memory, coarser ones more distances to compute
_SQUARES_A_SERVER = 300  # finer ones take longer to look at first, coarser ones lie on more borders
_MANY = 20_000  # points in all, from which it pays to look at squares first


class ServerIndex:
    """The servers nearest to any point, of those at `servers_m`, (s, 2).

    Once many points have been asked about, the plane is divided into squares, most of which lie in
    one server's cell; only for points in the others a tree is searched. Raises ConfigurationError
    without servers.
    """

    def __init__(self, servers_m: FloatArray) -> None:
        if not len(servers_m):
            raise ConfigurationError("there are no servers to look up")
        self.servers_m = servers_m
        self._tree = KDTree(servers_m)
        self._asked = 0

    def attached(self, points_m: FloatArray) -> IntArray:
        """Return the server nearest to each of b points, (b,): the one that people there use."""
        self._asked += len(points_m)
        if self._asked < _MANY:
            return np.asarray(self._tree.query(points_m)[1], dtype=np.int64)
        low_m, pitch_m, owners = self._squares
        column, row = np.floor((points_m - low_m) / pitch_m).T
        inside = (column >= 0) & (column < owners.shape[0]) & (row >= 0) & (row < owners.shape[1])
        found = np.full(len(points_m), NOBODY)
        found[inside] = owners[column[inside].astype(np.int64), row[inside].astype(np.int64)]
        open_ = found == NOBODY
        found[open_] = self._tree.query(points_m[open_])[1]
        return found

    @cached_property
    def _squares(self) -> tuple[FloatArray, float, IntArray]:
        """The corner and the side of squares, and the server in whose cell each lies whole."""
        low_m, high_m = self.servers_m.min(axis=0) - 1.0, self.servers_m.max(axis=0) + 1.0
        width_m, height_m = high_m - low_m
        pitch_m = float(np.sqrt(width_m * height_m / (_SQUARES_A_SERVER * len(self.servers_m))))
        shape = np.ceil((high_m - low_m) / pitch_m).astype(np.int64)
        centres_m = low_m + pitch_m * (np.indices(shape).reshape(2, -1).T + 0.5)
        servers, distance_m = self.nearest(centres_m, 2)
        diagonal_m = np.sqrt(2.0) * pitch_m
        whole = distance_m[:, 1] - distance_m[:, 0] > diagonal_m * (1 + 1e-9)
        return low_m, pitch_m, np.where(whole, servers[:, 0], NOBODY).reshape(shape)

    def nearest(self, points_m: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
        """Return the `count` servers nearest to each of b points, and their distances.

        Both (b, count), nearest first; `NOBODY` at an infinite distance where there are fewer.
        """
        distance_m, servers = self._tree.query(points_m, k=range(1, count + 1))
        return np.where(np.isinf(distance_m), NOBODY, servers), distance_m


class Neighbourhood:
    """The servers, of those at `servers_m`, (s, 2), within a radius of any point.

    The plane is divided into squares. For each that is near a server, the servers that may be
    within the radius of a point in it are listed once; a look-up then computes the few distances
    that are left open. Raises ConfigurationError without servers, or if the radius is not positive.
    """

    def __init__(self, servers_m: FloatArray, radius_m: float) -> None:
        if not len(servers_m):
            raise ConfigurationError("there are no servers to look up")
        if not radius_m > 0:
            raise ConfigurationError(f"a radius of {radius_m:g} m must be above 0 m")
        self.radius_m = radius_m
        self._pitch_m = radius_m / _SQUARES_A_RADIUS
        reach = _SQUARES_A_RADIUS + 1  # squares away from a server's own
        self._low_m = servers_m.min(axis=0) - reach * self._pitch_m
        home = np.floor((servers_m - self._low_m) / self._pitch_m).astype(np.int64)  # (s, 2)
        self._shape = home.max(axis=0) + reach + 1  # columns, rows
        around = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T  # (o, 2)
        squares = home[:, np.newaxis] + around  # (s, o, 2)
        centres_m = self._low_m + self._pitch_m * (squares + 0.5)
        distance_m = np.linalg.norm(centres_m - servers_m[:, np.newaxis], axis=2)
        server, square = np.nonzero(distance_m <= radius_m + self._pitch_m / np.sqrt(2.0))
        keys = self._key(squares[server, square])
        order = np.argsort(keys, kind="stable")
        self._keys, first, count = np.unique(keys[order], return_index=True, return_counts=True)
        # The last row is for all other squares.
        self._near = np.full((len(self._keys) + 1, count.max()), NOBODY, dtype=np.int64)
        row = np.repeat(np.arange(len(count)), count)
        self._near[row, np.arange(len(row)) - np.repeat(first, count)] = server[order]
        # A server infinitely far away stands for none.
        self._servers_m = np.vstack((servers_m, (np.inf, np.inf)))

    def within(self, points_m: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return the servers within the radius of each of b points, and their distances.

        Both (b, k), in no order, with `NOBODY` at an infinite distance where there are fewer.
        """
        servers = self._near[self._row(points_m)]  # (b, k)
        offset_m = self._servers_m[servers] - points_m[:, np.newaxis]
        distance_m = np.sqrt(offset_m[..., 0] ** 2 + offset_m[..., 1] ** 2)
        far = distance_m > self.radius_m
        distance_m[far] = np.inf
        return np.where(far, NOBODY, servers), distance_m

    def _row(self, points_m: FloatArray) -> IntArray:
        """Return the row of the list of each point's square, (b,)."""
        square = np.floor((points_m - self._low_m) / self._pitch_m)
        inside = ((square >= 0) & (square < self._shape)).all(axis=1)
        key = self._key(np.where(inside[:, np.newaxis], square, 0).astype(np.int64))
        row = np.searchsorted(self._keys[:-1], key)
        known = inside & (self._keys[row] == key)
        return np.where(known, row, len(self._keys))

    def _key(self, square: IntArray) -> IntArray:
        """Return one number for column and row, (..., 2): 2^63 squares are more than there are."""
        key: IntArray = square[..., 0] * self._shape[1] + square[..., 1]
        return key
