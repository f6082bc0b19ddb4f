"""Estimators beyond the paper's: gradient boosting, of times as they are and of the slowdown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from testbed.arrays import FloatArray
from testbed.gpu.contention.contention_profile import LOAD
from testbed.gpu.estimation.estimators import ByLayerType
from testbed.gpu.estimation.slowdown import Slowdown


class Boosting(ByLayerType):
    """GB: boosted trees on hyperparameters and load, a model a layer type, as the forests are."""

    def __init__(self) -> None:
        super().__init__(load=True)

    def new_model(self) -> Any:
        """Return boosted trees."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        # Gamma: times are positive, and relative errors count alike in fast and slow layers
        return HistGradientBoostingRegressor(loss="gamma", early_stopping=False)


class IdleTimesSlowdown:
    """A layer's idle time, which the server's profile has, times the slowdown at the load.

    `quantile` is None for the mean, else which quantile (see `Slowdown`).
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
