"""Fig. 4's estimators as the master uses them: each layer's time from hyperparameters and load.

They learn from a contention profile of the modelled accelerator that runs the published models, all
of them whichever a run has: an edge server serves whoever comes. It takes 7 s on one core, of which
the forest has 3 s.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from testbed.arrays import FloatArray
from testbed.dnn.devices.device_profile import DeviceProfile
from testbed.dnn.graph import LayerGraph
from testbed.dnn.models.published import MODELS, published_graph
from testbed.errors import ConfigurationError, unknown_name
from testbed.gpu.accelerator import AcceleratorParameters
from testbed.gpu.contention.contention_profile import CLIENTS, LOAD, layer_table, profile_modelled
from testbed.gpu.estimation.estimators import Estimator, Forest, LinearLogarithmic, nearest
from testbed.gpu.sharing import DEFAULTS

#: By the names of the setting `server.estimator`; those of Fig. 4 are in `evaluation.ESTIMATORS`.
ESTIMATORS: dict[str, Callable[[], Estimator]] = {
    "forest": lambda: Forest(load=True),
    "ll": lambda: LinearLogarithmic(load=False),
    "ll_load": lambda: LinearLogarithmic(load=True),
}
RUNS, RUN_S = 8, 1.5  # of each number of clients: a layer's rows are many in few queries


def layer_profile(
    device: DeviceProfile, *, parameters: AcceleratorParameters = DEFAULTS, seed: int = 1
) -> pd.DataFrame:
    """Return the contention profile of the published models on a modelled accelerator.

    Raises ConfigurationError if the device profile cannot tell their layers' times.
    """
    tables = [layer_table(graph).assign(idle_s=device.layer_times(graph)) for graph in _learnt()]
    return profile_modelled(
        tables, CLIENTS, run_s=RUN_S, runs=RUNS, seed=seed, parameters=parameters
    )


def check_learnable(graph: LayerGraph, device: DeviceProfile) -> None:
    """Raise ConfigurationError if these estimators could not tell a graph's times on a device.

    Either the graph has layers of types that no published model has, or the device profile cannot
    tell the published models' times.
    """
    _check_known(graph, {layer.kind for each in _learnt() for layer in each.layers})
    for each in _learnt():
        device.layer_times(each)


class LayerByLayer:
    """One of `ESTIMATORS`, learnt from a contention profile.

    What is learnt of a number of clients is learnt of those that had work in the sample period:
    that is the number which a server tells. Where none had, the idle times hold, so these queries
    are left out. Raises ConfigurationError for an unknown name.
    """

    def __init__(self, name: str, profile: pd.DataFrame) -> None:
        if name not in ESTIMATORS:
            raise ConfigurationError(unknown_name("estimator", name, ("slowdown", *ESTIMATORS)))
        loaded = profile[profile["active_clients"] > 0]
        numbers = np.unique(profile["clients"])
        told = {number: nearest(number, numbers) for number in loaded["active_clients"].unique()}
        self._kinds = set(loaded["kind"])
        self._estimator = ESTIMATORS[name]()
        self._estimator.fit(loaded.assign(clients=loaded["active_clients"].map(told)))

    def layer_times(self, graph: LayerGraph, idle_s: FloatArray, loads: FloatArray) -> FloatArray:
        """Return the seconds of each layer at each load, (s, n); not bounded by those when idle.

        Raises ConfigurationError for layers of types that were not learnt.
        """
        _check_known(graph, self._kinds)
        servers, layers = len(loads), len(graph)
        rows = self._table(graph).iloc[np.tile(np.arange(layers), servers)]
        repeated = np.repeat(loads, layers, axis=0)
        told = dict(zip(LOAD, repeated.T, strict=True))
        clients = told["active_clients"].astype(np.int64)
        rows = rows.assign(idle_s=np.tile(idle_s, servers), clients=clients, **told)
        return self._estimator.predict(rows).reshape(servers, layers)

    def _table(self, graph: LayerGraph) -> pd.DataFrame:
        """Return the graph's layers and hyperparameters, kept with the graph."""
        if "layer_table" not in graph.derived:
            graph.derived["layer_table"] = layer_table(graph)
        table: pd.DataFrame = graph.derived["layer_table"]
        return table


def _learnt() -> list[LayerGraph]:
    return [published_graph(model) for model in MODELS]


def _check_known(graph: LayerGraph, kinds: set[str]) -> None:
    if unknown := sorted({layer.kind for layer in graph.layers} - kinds):
        raise ConfigurationError(
            f"server.estimator: it learns from the published models, and model {graph.model!r} has"
            f" layers of other types ({', '.join(unknown)}); take slowdown, which all layers share"
        )
