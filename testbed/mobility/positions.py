"""Predictors that say where a person will be, and baselines of them (section III.D)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from testbed.arrays import FloatArray, IntArray
from testbed.errors import ConfigurationError
from testbed.mobility.neighbourhood import ServerIndex
from testbed.mobility.own_settings import PredictorSettings
from testbed.mobility.predictor import TRAJECTORY_LENGTH, Candidates, Predictor, training_windows

_CANDIDATES = 6  # servers nearest to the predicted position
_CALIBRATED_ON = 20_000  # windows at most
_SCALES_M = (0.5, 500.0)  # least and greatest decline of probability with distance


class PositionPredictor(Predictor):
    """Base of the predictors of positions: override `learn` and `predict`.

    The candidates are the servers nearest to the predicted position, nearest first. Their
    probability declines exponentially with their distance from it, on the one scale that makes what
    happened in training most likely (a conditional logit).
    """

    def __init__(self, n: int = TRAJECTORY_LENGTH, own: PredictorSettings | None = None) -> None:
        super().__init__(n, own)
        self._servers: ServerIndex | None = None
        self._scale_m = 1.0

    def fit(self, paths: Sequence[FloatArray], servers_m: FloatArray) -> None:
        """Learn from all runs of n + 1 positions."""
        recent, following = training_windows(paths, self.n)
        self._servers = ServerIndex(servers_m)
        self.learn(paths, recent, following)
        some = slice(None, None, max(-(-len(recent) // _CALIBRATED_ON), 1))
        self._calibrate(recent[some], following[some])

    def learn(self, paths: Sequence[FloatArray], recent: FloatArray, following: FloatArray) -> None:
        """Learn from windows, (w, n, 2), and the position after each, (w, 2)."""

    @abstractmethod
    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the next position of b people, (b, 2)."""

    def candidates(self, recent: FloatArray) -> Candidates:
        """Return the servers nearest to the predicted positions."""
        servers, distance_m = self._nearest(self._predicted(recent))
        return Candidates(servers, _declining(distance_m, self._scale_m)[..., np.newaxis])

    def _nearest(self, positions_m: FloatArray) -> tuple[IntArray, FloatArray]:
        if self._servers is None:
            raise RuntimeError("fit the predictor before asking it for candidates")
        return self._servers.nearest(positions_m, _CANDIDATES)

    def _predicted(self, recent: FloatArray) -> FloatArray:
        """Return `predict`; ConfigurationError unless these are b positions."""
        positions_m, shape = self.predict(recent), (len(recent), 2)
        whose = f"{type(self).__name__}.predict must return finite positions of shape {shape}"
        if positions_m.shape != shape:
            raise ConfigurationError(f"{whose}; it returned {positions_m.shape}")
        if wrong := int((~np.isfinite(positions_m)).any(axis=1).sum()):
            raise ConfigurationError(f"{whose}; {wrong} of those that it returned are not finite")
        return positions_m

    def _calibrate(self, recent: FloatArray, following: FloatArray) -> None:
        servers, distance_m = self._nearest(self._predicted(recent))
        visited, _ = self._nearest(following)
        chosen = servers == visited[:, :1]  # (b, k)
        known = chosen.any(axis=1)

        def unlikeliness(log_scale: float) -> float:
            probability = _declining(distance_m[known], float(np.exp(log_scale)))
            return -float(np.log(np.maximum(probability[chosen[known]], 1e-12)).mean())

        if known.any():
            found = minimize_scalar(unlikeliness, bounds=np.log(_SCALES_M), method="bounded")
            self._scale_m = float(np.exp(found.x))


def _declining(distance_m: FloatArray, scale_m: float) -> FloatArray:
    """Return probabilities that sum to 1 in each row, the nearest server coming first, (b, k)."""
    weight = np.exp((distance_m[:, :1] - distance_m) / scale_m)
    probability: FloatArray = weight / weight.sum(axis=1, keepdims=True)
    return probability


class Stay(PositionPredictor):
    """The baseline: everyone stays where they are."""

    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the last of the recent positions, (b, 2)."""
        return recent[:, -1]


class ConstantVelocity(PositionPredictor):
    """The baseline: everyone repeats their last step; with one position, they stay."""

    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the last of the recent positions moved on by the last step, (b, 2)."""
        before = recent[:, max(recent.shape[1] - 2, 0)]
        return 2 * recent[:, -1] - before
