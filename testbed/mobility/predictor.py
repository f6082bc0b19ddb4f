"""What a mobility predictor is: where people are next, which servers they visit (III.D)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from testbed.arrays import FloatArray, IntArray
from testbed.errors import ConfigurationError
from testbed.mobility.neighbourhood import NOBODY
from testbed.mobility.own_settings import PredictorSettings

TRAJECTORY_LENGTH = 5  # n, section III.D: longer trajectories did not lower the error (Fig. 6)
SPREAD_FLOOR_M = 1e-9  # a coordinate that never changes has no spread to divide by


class Candidates(NamedTuple):
    """Servers that b people may visit, the most probable next one first."""

    # Indices into the servers that the predictor was fitted with, (b, k); `NOBODY` where a person
    # has fewer than k
    servers: IntArray
    # Of being at that server at one or more of the next 1, 2, ... h intervals, (b, k, h); 0 for
    # `NOBODY`. The server that someone is at is a candidate like others
    probability: FloatArray

    def ranked(self, count: int) -> IntArray:
        """Return the `count` servers most probable at the next interval, (b, count)."""
        missing = max(count - self.servers.shape[1], 0)
        return np.pad(self.servers[:, :count], ((0, 0), (0, missing)), constant_values=NOBODY)


class Predictor(ABC):
    """A model of movement.

    `n` is how many of a person's last positions it needs; `memory` says how many it reads at most:
    n, unless a class says otherwise. `own` are the settings that the class declares as `Settings`;
    by default, their defaults.
    """

    Settings: ClassVar[type[PredictorSettings]] = PredictorSettings

    def __init__(self, n: int = TRAJECTORY_LENGTH, own: PredictorSettings | None = None) -> None:
        if n < 1:
            raise ConfigurationError(f"a trajectory of {n} positions must have at least one")
        self.n = n
        self.own: Any = own or self.Settings()

    @property
    def memory(self) -> int:
        """How many positions it reads at most."""
        return self.n

    @abstractmethod
    def fit(self, paths: Sequence[FloatArray], servers_m: FloatArray) -> None:
        """Learn from unbroken paths at a constant interval: positions in metres, (m, 2) each.

        The edge servers stand at `servers_m`, (s, 2); people use the nearest. Raises
        ConfigurationError if no path is long enough to learn from, or there are no servers.
        """

    @abstractmethod
    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the next position of b people, (b, 2).

        `recent` are their last positions, oldest first, (b, m, 2) with n <= m <= memory.
        """

    @abstractmethod
    def candidates(self, recent: FloatArray) -> Candidates:
        """Return the servers that b people may visit next, with probabilities."""


class StandardScores:
    """Coordinates as standard scores: training's mean and deviation, and no others (III.D)."""

    def __init__(self, paths: Sequence[FloatArray]) -> None:
        seen = np.concatenate(paths)
        self._centre_m = seen.mean(axis=0)
        self._spread_m = np.maximum(seen.std(axis=0), SPREAD_FLOOR_M)

    def of(self, positions_m: FloatArray) -> FloatArray:
        """Return the scores of positions, (..., 2)."""
        scores: FloatArray = (positions_m - self._centre_m) / self._spread_m
        return scores

    def positions_m(self, scores: FloatArray) -> FloatArray:
        """Return the positions that have these scores, (..., 2)."""
        return scores * self._spread_m + self._centre_m


def windows(paths: Sequence[FloatArray], n: int) -> tuple[FloatArray, FloatArray]:
    """Return all runs of n positions, (m, n, 2), and the position after each, (m, 2).

    No run crosses from one path to the next; a path of n positions or fewer gives none.
    """
    runs = [np.empty((0, n + 1, 2))]
    runs += [
        np.lib.stride_tricks.sliding_window_view(path, n + 1, axis=0).swapaxes(1, 2)
        for path in paths
        if len(path) > n
    ]
    joined = np.concatenate(runs)  # (m, n + 1, 2)
    return joined[:, :n], joined[:, n]


def training_windows(paths: Sequence[FloatArray], n: int) -> tuple[FloatArray, FloatArray]:
    """Return `windows`; ConfigurationError where no path is long enough for one."""
    recent, following = windows(paths, n)
    if not len(recent):
        raise ConfigurationError(f"none of {len(paths)} training paths has more than {n} positions")
    return recent, following


def histories(path: FloatArray, n: int, memory: int) -> FloatArray:
    """Return what a predictor is told at each step from the n-th on, (m - n + 1, memory, 2).

    Where a path has fewer positions than `memory` before a step, its first one is repeated.
    """
    before = np.repeat(path[:1], memory - n, axis=0)
    padded = np.concatenate((before, path))
    if len(padded) < memory:
        return np.empty((0, memory, 2))
    return np.lib.stride_tricks.sliding_window_view(padded, memory, axis=0).swapaxes(1, 2)
