"""Execution-time estimators of the paper's Fig. 4: NeuroSurgeon's regressions and random forests.

All learn from a contention profile (`contention.COLUMNS`), one model a layer type, and estimate the
seconds of rows that have its columns but `time_s`. Those "with load" see what an edge server can
tell (`contention.LOAD`); those without are told the true number of clients instead.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.ensemble import RandomForestRegressor

from testbed.arrays import FloatArray
from testbed.gpu.contention.contention_profile import HYPERPARAMETERS, LOAD


class Estimator(Protocol):
    """A model of layers' execution times."""

    def fit(self, rows: pd.DataFrame) -> None:
        """Learn from a contention profile."""

    def predict(self, rows: pd.DataFrame) -> FloatArray:
        """Return the seconds of each row's layer, (rows,)."""


class IdleProfile:
    """The baseline: every layer takes what it takes on the idle server."""

    def fit(self, rows: pd.DataFrame) -> None:
        """There is nothing to learn."""

    def predict(self, rows: pd.DataFrame) -> FloatArray:
        """Return `idle_s`."""
        return rows["idle_s"].to_numpy(dtype=np.float64)


class LinearLogarithmic:
    """LL: least squares on hyperparameters, or on their logarithms, whichever errs less.

    Hyperparameters are NeuroSurgeon's (Kang et al., ASPLOS 2017, section 5.2): of a convolution the
    size of the input and (kernel / stride)^2 * filters, of fully connected and pooling layers the
    sizes of input and output, of all others that of the input. With `load`, the server's statistics
    are features as well. Each number of clients has models of its own, as there; others are
    estimated by those of the nearest number.
    """

    def __init__(self, *, load: bool) -> None:
        self._load = load
        self._models: dict[tuple[str, int], _LeastSquares] = {}
        self._clients: dict[str, npt.NDArray[np.int64]] = {}  # by layer type

    def fit(self, rows: pd.DataFrame) -> None:
        """Learn a model for each layer type and number of clients."""
        self._clients = {
            str(kind): np.unique(clients) for kind, clients in rows.groupby("kind")["clients"]
        }
        self._models = {
            (str(kind), int(clients)): _LeastSquares(
                self._features(str(kind), group), group["time_s"].to_numpy()
            )
            for (kind, clients), group in rows.groupby(["kind", "clients"])
        }

    def predict(self, rows: pd.DataFrame) -> FloatArray:
        """Return seconds, (rows,); KeyError for a type of layer that was not learnt."""
        times_s = np.empty(len(rows))
        for (kind, clients), places in rows.groupby(["kind", "clients"]).indices.items():
            model = self._models[kind, nearest(clients, self._clients[kind])]
            times_s[places] = model.predict(self._features(kind, rows.iloc[places]))
        return times_s

    def _features(self, kind: str, rows: pd.DataFrame) -> FloatArray:
        columns = [rows["input_bytes"].to_numpy(dtype=np.float64)]
        if kind in ("Convolution", "Deconvolution"):
            windows = rows["kernel"] / rows["stride"].clip(lower=1)
            columns.append((windows**2 * rows["filters"]).to_numpy(dtype=np.float64))
        elif kind in ("InnerProduct", "Pooling"):
            columns.append(rows["output_bytes"].to_numpy(dtype=np.float64))
        if self._load:
            columns += [rows[name].to_numpy(dtype=np.float64) for name in LOAD]
        return np.column_stack(columns)


class ByLayerType(ABC):
    """A model for each layer type, on hyperparameters and, with `load`, the server's statistics."""

    def __init__(self, *, load: bool) -> None:
        self._load = load
        self.features: list[str] = []
        self.models: dict[str, Any] = {}

    @abstractmethod
    def new_model(self) -> Any:
        """Return a regressor of seconds, as scikit-learn has them."""

    def fit(self, rows: pd.DataFrame) -> None:
        """Learn a model for each layer type."""
        self.features = [*HYPERPARAMETERS, *(measured_load(rows) if self._load else ())]
        for kind, group in rows.groupby("kind"):
            self.models[str(kind)] = self.new_model().fit(group[self.features], group["time_s"])

    def predict(self, rows: pd.DataFrame) -> FloatArray:
        """Return seconds, (rows,); KeyError for a type of layer that was not learnt."""
        times_s = np.empty(len(rows))
        table = rows[self.features]
        for kind, places in rows.groupby("kind").indices.items():
            times_s[places] = self.models[kind].predict(table.iloc[places])
        return times_s


class Forest(ByLayerType):
    """RF: random forests (Breiman, 2001)."""

    def __init__(self, *, load: bool, seed: int = 0) -> None:
        super().__init__(load=load)
        self._seed = seed

    def new_model(self) -> RandomForestRegressor:
        """Return a forest that draws its samples with the seed."""
        return RandomForestRegressor(n_estimators=50, min_samples_leaf=5, random_state=self._seed)


def nearest(number: int, numbers: npt.NDArray[np.int64]) -> int:
    """Return the one of the numbers that lies nearest, the lower of two."""
    return int(numbers[np.abs(numbers - number).argmin()])


def measured_load(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return those of `LOAD` that the profile's source measures."""
    return tuple(name for name in LOAD if rows[name].notna().any())


class _LeastSquares:
    """A linear or logarithmic function; what a row does not tell is taken as the mean."""

    def __init__(self, features: FloatArray, times_s: FloatArray) -> None:
        self._means = np.zeros(features.shape[1])
        known = ~np.isnan(features).all(axis=0)
        self._means[known] = np.nanmean(features[:, known], axis=0)
        features = self._filled(features)
        fits = [(scale, *_solve(scale(features), times_s)) for scale in _SCALES]
        self._scale, _, self._weights = min(fits, key=lambda fit: fit[1])

    def predict(self, features: FloatArray) -> FloatArray:
        """Return seconds, never below 0."""
        scaled = self._scale(self._filled(features))
        return np.maximum(0.0, _with_ones(scaled) @ self._weights)

    def _filled(self, features: FloatArray) -> FloatArray:
        return np.where(np.isnan(features), self._means, features)


def _solve(features: FloatArray, times_s: FloatArray) -> tuple[float, FloatArray]:
    """Return squared error and weights; columns are scaled first, since bytes are large numbers."""
    columns = _with_ones(features)
    magnitude = np.abs(columns).max(axis=0)
    magnitude[magnitude == 0] = 1.0
    weights = np.linalg.lstsq(columns / magnitude, times_s, rcond=None)[0] / magnitude
    return float(((columns @ weights - times_s) ** 2).sum()), weights


def _with_ones(features: FloatArray) -> FloatArray:
    return np.column_stack([features, np.ones(len(features))])


_SCALES: tuple[Callable[[FloatArray], FloatArray], ...] = (lambda features: features, np.log1p)
