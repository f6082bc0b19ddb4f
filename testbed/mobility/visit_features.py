"""What a visit is predicted from: a person's recent movement as seen from a server that is near."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from testbed.arrays import FloatArray, IntArray
from testbed.mobility.neighbourhood import NOBODY, Neighbourhood, ServerIndex

Features = npt.NDArray[np.float32]

REACH_M = 150.0  # servers this near to a person are candidates, ...
AHEAD_M = 100.0  # and those this near to where one more equal step would lead
MOVED_M = 5.0  # a shorter step is the receiver's noise
_PACE_M = 10.0  # lengths are told on a scale that is linear below this and logarithmic above


class CandidateRows(NamedTuple):
    """The candidates of b people, one row each."""

    person: IntArray  # index of the person, (r,)
    origin: IntArray  # the server that the person is at, (r,)
    server: IntArray  # index of the candidate, (r,)
    features: Features  # on scales that suit a network, (r, f)


class NearbyServers:
    """Finds each person's candidates among the servers, and describes them."""

    def __init__(self, servers_m: FloatArray) -> None:
        self._index = ServerIndex(servers_m)
        self._reach = Neighbourhood(servers_m, REACH_M)
        self._ahead = Neighbourhood(servers_m, AHEAD_M)
        # Single precision is quick, and exact to the millimetre within 10 km of the origin.
        self._origin_m = servers_m.mean(axis=0)
        self._servers_m = (servers_m - self._origin_m).astype(np.float32)

    def attached(self, positions_m: FloatArray) -> IntArray:
        """Return the server nearest to each of b positions, (b,)."""
        return self._index.attached(positions_m)

    def candidates(self, here_m: FloatArray, step_m: FloatArray) -> tuple[IntArray, IntArray]:
        """Return person and server of each candidate, (r,) each, person by person.

        `here_m` is where b people are, (b, 2), and `step_m` their last step, (b, 2).
        """
        near, _ = self._reach.within(here_m)
        ahead, _ = self._ahead.within(here_m + step_m)
        ahead[(ahead[:, :, np.newaxis] == near[:, np.newaxis]).any(axis=2)] = NOBODY
        both = np.concatenate((near, ahead), axis=1)
        person, column = np.nonzero(both != NOBODY)
        return person, both[person, column]

    def _cells(self, recent: FloatArray) -> IntArray:
        """Return the server that b people used at each of m steps, (b, m).

        Only who moved is looked up: in KAIST, 42 % of the steps stand still.
        """
        moved = np.ones(recent.shape[:2], dtype=bool)
        x_m, y_m = np.moveaxis(recent, -1, 0)
        moved[:, 1:] = (x_m[:, 1:] != x_m[:, :-1]) | (y_m[:, 1:] != y_m[:, :-1])
        looked_up = self.attached(recent[moved])
        return looked_up[moved.ravel().cumsum() - 1].reshape(moved.shape)

    def rows(self, recent: FloatArray) -> CandidateRows:
        """Return the candidates of b people with their features.

        `recent` are their last positions, oldest first, (b, m, 2) with m >= 5.
        """
        length = recent.shape[1]
        cells = self._cells(recent)
        path_m = (recent - self._origin_m).astype(np.float32)
        here_m = path_m[:, -1]
        steps_m = np.diff(path_m[:, -5:], axis=1)  # (b, 4, 2)
        person, server = self.candidates(recent[:, -1], recent[:, -1] - recent[:, -2])

        speeds_m = np.hypot(steps_m[..., 0], steps_m[..., 1])  # (b, 4)
        own_m = self._servers_m[cells[:, -1]] - here_m
        distance_here_m = np.hypot(own_m[:, 0], own_m[:, 1])
        moved = np.hypot(*np.moveaxis(np.diff(path_m, axis=1), -1, 0)) > MOVED_M
        changes = cells[:, 1:] != cells[:, :-1]
        own = _table(
            *map(_scaled, speeds_m.T),
            distance_here_m / _PACE_M,
            np.log1p(_since_last(cells != cells[:, -1:], length)),  # dwell time
            np.log1p(_since_last(moved, length)),  # time since the last move
            np.log1p(changes.sum(axis=1)),
        )

        to_server_m = self._servers_m[server] - here_m[person]  # (r, 2)
        distance_m = np.hypot(to_server_m[:, 0], to_server_m[:, 1])
        each = [distance_m / _PACE_M, (distance_m - distance_here_m[person]) / _PACE_M]
        for back in (1, 2, 4):  # the heading, over the last step and over longer ones
            course_m = here_m - path_m[:, -1 - back]
            length_m = np.hypot(course_m[:, 0], course_m[:, 1])
            heading = course_m / np.maximum(length_m, 1.0)[:, np.newaxis]
            heading = heading[person]
            across_m = to_server_m[:, 0] * heading[:, 1] - to_server_m[:, 1] * heading[:, 0]
            before_m = to_server_m + course_m[person]
            each += [
                _scaled((to_server_m * heading).sum(axis=1)),
                np.abs(across_m) / _PACE_M,
                _scaled(np.hypot(before_m[:, 0], before_m[:, 1]) - distance_m),
            ]
        after_m = to_server_m - steps_m[person, -1]
        brief = np.min_scalar_type(-len(self._servers_m))  # reading them takes the time
        there = cells.astype(brief)[person] == server.astype(brief)[:, np.newaxis]  # (r, m)
        entered = there[:, 1:] & changes[person]
        each += [
            np.hypot(after_m[:, 0], after_m[:, 1]) / _PACE_M,
            server == cells[person, -1],
            np.log1p(_since_last(there, 2 * length)),
            np.log1p(entered.sum(axis=1)),
        ]
        features = np.concatenate((own[person], _table(*each)), axis=1)
        return CandidateRows(person, cells[person, -1], server, features)


def _table(*columns: npt.NDArray[Any]) -> Features:
    return np.column_stack([column.astype(np.float32) for column in columns])


def _scaled(length_m: Features) -> Features:
    """Return lengths on a scale that tells 5 m from 10 m, and 500 m from 1000 m, alike."""
    scaled = np.sign(length_m) * np.log1p(np.abs(length_m) / _PACE_M)
    return scaled.astype(np.float32)


def _since_last(happened: npt.NDArray[np.bool_], never: int) -> IntArray:
    """Return how many steps ago each row was last true, 0 for the last column, `never` if not."""
    ago = happened[:, ::-1].argmax(axis=1)
    return np.where(happened.any(axis=1), ago, never)
