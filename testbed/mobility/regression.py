"""Regressions of the next position on the last n: SVR with three kernels, and ridge (III.D)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from testbed.arrays import FloatArray
from testbed.mobility.positions import PositionPredictor
from testbed.mobility.predictor import TRAJECTORY_LENGTH, StandardScores

_LANDMARKS = 200  # of the kernels' approximation
_SEED = 0  # of the landmarks: fitting twice gives the same predictor


class Regression(PositionPredictor):
    """Inputs are the 2n standard scores of the recent positions; x and y have a model each."""

    def __init__(self, n: int = TRAJECTORY_LENGTH) -> None:
        super().__init__(n)
        self._scores: StandardScores | None = None
        self._models: list[Any] = []

    @abstractmethod
    def model(self) -> Any:
        """Return a new regressor of one coordinate, as scikit-learn has them."""

    def learn(self, paths: Sequence[FloatArray], recent: FloatArray, following: FloatArray) -> None:
        """Learn the two models; means and deviations of the scores come from `paths` alone."""
        self._scores = StandardScores(paths)
        inputs = self._inputs(recent)
        self._models = [self.model().fit(inputs, target) for target in self._scores.of(following).T]

    def predict(self, recent: FloatArray) -> FloatArray:
        """Return the next positions, (b, 2), of people last seen at `recent`, (b, n, 2)."""
        inputs = self._inputs(recent)
        assert self._scores is not None
        scores = np.column_stack([model.predict(inputs) for model in self._models])
        return self._scores.positions_m(scores)

    def _inputs(self, recent: FloatArray) -> FloatArray:
        """Return standard scores, x and y by turns, (b, 2n)."""
        if self._scores is None:
            raise RuntimeError("fit the predictor before asking it for a prediction")
        return self._scores.of(recent).reshape(len(recent), 2 * self.n)


class Ridge(Regression):
    """The baseline: least squares with a little shrinkage."""

    def model(self) -> Any:
        """Return a ridge regression."""
        from sklearn.linear_model import Ridge as RidgeRegression

        return RidgeRegression(alpha=1.0)


def _linear_svr(**parameters: Any) -> Any:
    from sklearn.svm import LinearSVR

    return LinearSVR(loss="squared_epsilon_insensitive", dual=False, **parameters)


class LinearSvr(Regression):
    """Linear support vector regression, which the paper chose.

    The loss is the squared epsilon-insensitive one: its primal problem is solved exactly in a
    fraction of a second, where the dual solver of the plain loss has not converged after ten
    thousand passes over KAIST, for an error 5 % lower. `epsilon` is the error, in standard scores,
    that costs nothing, and `tolerance` where the solver stops: scores of cities differ by little
    from step to step, so scikit-learn's 1e-4 stops too early there, at an error on Geolife that is
    a tenth greater.
    """

    def __init__(
        self, n: int = TRAJECTORY_LENGTH, *, epsilon: float = 0.0, tolerance: float = 1e-7
    ) -> None:
        super().__init__(n)
        self._epsilon = epsilon
        self._tolerance = tolerance

    def model(self) -> Any:
        """Return a linear SVR."""
        return _linear_svr(epsilon=self._epsilon, tol=self._tolerance)


class _KernelSvr(Regression):
    """Linear SVR behind a kernel's approximate feature map (Nystroem).

    Exact kernel machines take a time that grows with the square of the number of windows or faster:
    hours for KAIST's 80,000.
    """

    kernel: ClassVar[dict[str, Any]]

    def __init__(
        self, n: int = TRAJECTORY_LENGTH, *, epsilon: float = 0.0, tolerance: float = 1e-4
    ) -> None:
        super().__init__(n)
        self._epsilon = epsilon
        self._tolerance = tolerance

    def model(self) -> Any:
        """Return a linear SVR on the kernel's features."""
        from sklearn.kernel_approximation import Nystroem
        from sklearn.pipeline import make_pipeline

        features = Nystroem(**self.kernel, n_components=_LANDMARKS, random_state=_SEED)
        svr = _linear_svr(epsilon=self._epsilon, tol=self._tolerance, C=10.0)
        return make_pipeline(features, svr)


class PolynomialSvr(_KernelSvr):
    """SVR with a polynomial kernel of degree 3."""

    kernel: ClassVar[dict[str, Any]] = {"kernel": "poly", "degree": 3, "gamma": 0.1, "coef0": 1.0}


class RbfSvr(_KernelSvr):
    """SVR with a radial basis function for its kernel."""

    kernel: ClassVar[dict[str, Any]] = {"kernel": "rbf", "gamma": 0.1}
