"""Where a person is one interval from now, given the last n positions (section III.D)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from testbed.errors import ConfigurationError, unknown_name

FloatArray = npt.NDArray[np.float64]

TRAJECTORY_LENGTH = 5  # n, section III.D: longer trajectories did not lower the error (Fig. 6)
_SPREAD_FLOOR_M = 1e-9  # a coordinate that never changes has no spread to divide by


class Predictor(ABC):
    """A model of movement that looks at the `n` most recent positions."""

    def __init__(self, n: int = TRAJECTORY_LENGTH) -> None:
        if n < 1:
            raise ConfigurationError(f"a trajectory of {n} positions must have at least one")
        self.n = n

    @abstractmethod
    def fit(self, paths: Sequence[FloatArray]) -> None:
        """Learn from unbroken paths at a constant interval, metres, (m, 2) each.

        Raises:
            ConfigurationError: no path is long enough to learn from.
        """

    @abstractmethod
    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the next position of b people, (b, 2), from their last n ones, (b, n, 2)."""


class Stay(Predictor):
    """The baseline: everyone stays where they are."""

    def fit(self, paths: Sequence[FloatArray]) -> None:
        """There is nothing to learn."""

    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the last of the recent positions, (b, 2)."""
        return recent[:, -1]


class LinearSvr(Predictor):
    """Linear support vector regression on standard scores of the coordinates (section III.D).

    Inputs are the 2n scores of the recent positions; x and y of the next one have a model each.
    The loss is the squared epsilon-insensitive one: its primal problem is solved exactly in a
    fraction of a second, where the dual solver of the plain loss has not converged after ten
    thousand passes over KAIST, for an error 5 % lower.
    """

    def __init__(self, n: int = TRAJECTORY_LENGTH) -> None:
        super().__init__(n)
        self._centre_m = np.zeros(2)
        self._spread_m = np.ones(2)
        self._weights: FloatArray | None = None  # (2n, 2)
        self._bias = np.zeros(2)

    def fit(self, paths: Sequence[FloatArray]) -> None:
        """Learn the two models; means and deviations of the scores come from `paths` alone."""
        from sklearn.svm import LinearSVR

        recent, following = windows(paths, self.n)
        if not len(recent):
            raise ConfigurationError(
                f"none of {len(paths)} training paths has more than {self.n} positions"
            )
        seen = np.concatenate(paths)
        self._centre_m = seen.mean(axis=0)
        self._spread_m = np.maximum(seen.std(axis=0), _SPREAD_FLOOR_M)
        scores, targets = self._scores(recent), (following - self._centre_m) / self._spread_m
        models = [
            LinearSVR(loss="squared_epsilon_insensitive", dual=False).fit(scores, targets[:, axis])
            for axis in range(2)
        ]
        self._weights = np.column_stack([model.coef_ for model in models])
        self._bias = np.array([np.ravel(model.intercept_)[0] for model in models])

    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the next positions, (b, 2), of people last seen at `recent`, (b, n, 2)."""
        if self._weights is None:
            raise RuntimeError("fit the predictor before asking it for a prediction")
        scores = self._scores(recent) @ self._weights + self._bias  # (b, 2)
        return scores * self._spread_m + self._centre_m

    def _scores(self, recent: FloatArray) -> FloatArray:
        """Return standard scores, x and y by turns, (b, 2n)."""
        scores: FloatArray = (recent - self._centre_m) / self._spread_m  # (b, n, 2)
        return scores.reshape(len(recent), 2 * self.n)


PREDICTORS: dict[str, type[Predictor]] = {"svr": LinearSvr, "stay": Stay}


def find_predictor(name: str) -> type[Predictor]:
    """Return the predictor class of this name; raises ConfigurationError when there is none."""
    if name not in PREDICTORS:
        raise ConfigurationError(unknown_name("predictor", name, PREDICTORS))
    return PREDICTORS[name]


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
