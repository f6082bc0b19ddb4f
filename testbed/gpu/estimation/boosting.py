"""Estimators beyond the paper's: gradient boosting, of times as they are and of the slowdown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from testbed.arrays import FloatArray
from testbed.gpu.contention.contention_profile import HYPERPARAMETERS, LOAD
from testbed.gpu.estimation.estimators import measured_load
from testbed.gpu.estimation.slowdown import Slowdown


class Boosting:
    """GB: boosted trees on hyperparameters and load, a model a layer type, as the forests are."""

    def __init__(self) -> None:
        self._features: list[str] = []
        self._models: dict[str, Any] = {}

    def fit(self, rows: pd.DataFrame) -> None:
        """Learn a model for each layer type."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        self._features = [*HYPERPARAMETERS, *measured_load(rows)]
        for kind, group in rows.groupby("kind"):
            # Gamma: times are positive, and relative errors count alike in fast and slow layers
            model = HistGradientBoostingRegressor(loss="gamma", early_stopping=False)
            self._models[str(kind)] = model.fit(group[self._features], group["time_s"])

    def predict(self, rows: pd.DataFrame) -> FloatArray:
        """Return seconds, (rows,); KeyError for a type of layer that was not learnt."""
        times_s = np.empty(len(rows))
        table = rows[self._features]
        for kind, places in rows.groupby("kind").indices.items():
            times_s[places] = self._models[kind].predict(table.iloc[places])
        return times_s


class IdleTimesSlowdown:
    """A layer's idle time, which the server's profile has, times the slowdown at the load.

    Args:
        quantile: None for the mean, else which quantile (see `Slowdown`).
    """

    def __init__(self, quantile: float | None = None) -> None:
        self._slowdown = Slowdown(quantile)

    def fit(self, rows: pd.DataFrame) -> None:
        """Learn the slowdown."""
        self._slowdown.fit(rows)

    def predict(self, rows: pd.DataFrame) -> FloatArray:
        """Return seconds, (rows,); rows of the same load are looked up once."""
        loads = rows[[*LOAD]].to_numpy(dtype=np.float64)
        known = np.nan_to_num(loads, nan=-1.0)  # NaN would equal no other
        _, first, place = np.unique(known, axis=0, return_index=True, return_inverse=True)
        slowdowns = self._slowdown.of(loads[first])[place.ravel()]
        return slowdowns * rows["idle_s"].to_numpy(dtype=np.float64)
