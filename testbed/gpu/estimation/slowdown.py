"""How much slower a loaded server is than an idle one: gradient boosting that load cannot lower."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from testbed.arrays import FloatArray
from testbed.dnn.graph import LayerGraph
from testbed.gpu.contention.contention_profile import LOAD


class Slowdown:
    """Time at a load over time when idle, for all layers alike, learnt from a contention profile.

    It is 1 where no client has work, never less, and never decreases while none of the statistics
    does (monotonic constraints). What the profile's source does not measure is left out. Layer
    types had no different slowdown in any profile so far, neither modelled nor of processors.

    `quantile` is None for the mean of whole queries' times, which is what plans add up; a share for
    that quantile of single layers', which are skewed: their medians sum to less.
    """

    def __init__(self, quantile: float | None = None) -> None:
        self._quantile = quantile
        self._measured: list[int] = []
        self._model: Any = None

    def fit(self, rows: pd.DataFrame) -> None:
        """Learn from a contention profile."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        if self._quantile is None:  # layers of a query met the same load
            loads = rows.groupby("request")[[*LOAD]].first().to_numpy(dtype=np.float64)
            sums = rows.groupby("request")[["idle_s", "time_s"]].sum()
            idle_s, time_s = sums["idle_s"].to_numpy(), sums["time_s"].to_numpy()
            loss, weights, fewest = "gamma", idle_s, 5
        else:
            loads = rows[[*LOAD]].to_numpy(dtype=np.float64)
            idle_s, time_s = rows["idle_s"].to_numpy(), rows["time_s"].to_numpy()
            loss, weights, fewest = "quantile", None, 200
        self._measured = np.flatnonzero(~np.isnan(loads).all(axis=0)).tolist()
        model = HistGradientBoostingRegressor(
            loss=loss,
            quantile=self._quantile,
            max_leaf_nodes=8,
            min_samples_leaf=fewest,
            monotonic_cst=[1] * len(self._measured),
            early_stopping=False,
            random_state=0,
        )
        with self._one_thread:
            self._model = model.fit(
                loads[:, self._measured], time_s / idle_s, sample_weight=weights
            )

    def of(self, loads: FloatArray) -> FloatArray:
        """Return the slowdown at each load, (s,), from (s, 4) statistics in the order of `LOAD`."""
        active = loads[:, LOAD.index("active_clients")] > 0
        slowdowns = np.ones(len(loads))
        if active.any():
            with self._one_thread:
                found = self._model.predict(loads[active][:, self._measured])
            slowdowns[active] = np.maximum(1.0, found)
        return slowdowns

    def layer_times(
        self,
        graph: LayerGraph,  # its layers are slowed down alike
        idle_s: FloatArray,
        loads: FloatArray,
    ) -> FloatArray:
        """Return seconds of each layer at each load, (s, n), from those when idle, (n,)."""
        return self.of(loads)[:, None] * idle_s

    @property
    def _one_thread(self) -> Any:
        """A context in which OpenMP's threads are not woken for a few rows."""
        return self._threads.limit(limits=1, user_api="openmp")

    @cached_property
    def _threads(self) -> Any:
        from threadpoolctl import ThreadpoolController

        return ThreadpoolController()
