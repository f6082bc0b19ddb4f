"""What the master expects of edge servers: their layers' times at their present loads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from testbed.arrays import FloatArray
from testbed.dnn.devices.device_profile import DeviceProfile
from testbed.dnn.graph import LayerGraph
from testbed.errors import ConfigurationError
from testbed.gpu.accelerator import AcceleratorParameters
from testbed.gpu.contention.contention_profile import (
    CLIENTS,
    HYPERPARAMETERS,
    load_features,
    profile_modelled,
)
from testbed.gpu.estimation.slowdown import Slowdown
from testbed.gpu.sharing import DEFAULTS
from testbed.gpu.stats import ServerStats

#: The modelled server's contention profile: many short load periods, made in 2 s on one core; more
#: of them lower the error no further. Queries take so long alone: the slowdown at a load is nearly
#: the same for queries from 1 to 100 ms, so it is learnt once and not for each device.
RUNS, RUN_S = 20, 2.0
QUERIES_S = (0.005, 0.015)


class LoadedTimes(Protocol):
    """What has learnt from a contention profile how long layers take at a load."""

    def layer_times(self, graph: LayerGraph, idle_s: FloatArray, loads: FloatArray) -> FloatArray:
        """Return the seconds of each layer at each load, (s, n).

        `idle_s` are the seconds on the idle server, (n,); `loads` are statistics in the order of
        `LOAD`, (s, 4), of servers where clients have work.
        """


class ServerTimes:
    """The execution-time estimator of a kind of edge server (section III.C.1).

    On the idle server a layer takes the device profile's time; at a load, what `loaded` says, which
    learnt from a contention profile of such a server. `source` is that of the profile's statistics;
    those of another source mean something else.
    """

    def __init__(self, device: DeviceProfile, loaded: LoadedTimes, source: str) -> None:
        self._device = device
        self._loaded = loaded
        self._source = source

    @classmethod
    def train(
        cls,
        device: DeviceProfile,
        estimator: str = "slowdown",
        *,
        parameters: AcceleratorParameters = DEFAULTS,
        seed: int = 1,
    ) -> ServerTimes:
        """Return the estimator of modelled accelerators with a device's layer times.

        `estimator` is one of the setting `server.estimator`. The same arguments give the same
        estimator. Raises ConfigurationError for an unknown name, or one that learns layer by layer
        if the device profile cannot tell the times of the published models' layers.
        """
        if estimator != "slowdown":
            from testbed.gpu.estimation.layer_by_layer import LayerByLayer, layer_profile

            profile = layer_profile(device, parameters=parameters, seed=seed)
            return cls(device, LayerByLayer(estimator, profile), "modelled")
        queries = [_query(seconds) for seconds in QUERIES_S]
        profile = profile_modelled(
            queries, CLIENTS, run_s=RUN_S, runs=RUNS, seed=seed, parameters=parameters
        )
        slowdown = Slowdown()
        slowdown.fit(profile)
        return cls(device, slowdown, "modelled")

    def layer_times(
        self, graph: LayerGraph, stats: Sequence[ServerStats]
    ) -> npt.NDArray[np.float64]:
        """Return the seconds that each layer takes at each server, (servers, n).

        Where no client has work they are exactly the device profile's; with the slowdown they are
        nowhere less. Raises ConfigurationError for statistics of another source than the estimator
        learnt from, a layer that the device profile cannot tell, or one that is of a type which the
        estimator did not learn.
        """
        for each in stats:
            if each.clients and each.source != self._source:
                raise ConfigurationError(
                    f"execution times were learnt from {self._source} statistics and cannot be "
                    f"estimated from {each.source} ones: make a contention profile of that server"
                )
        idle_s = self._idle_s(graph)
        times_s = np.tile(idle_s, (len(stats), 1))
        at_work = np.array([each.clients > 0 for each in stats], dtype=bool)
        if at_work.any():
            loads = load_features(stats)[at_work]
            times_s[at_work] = self._loaded.layer_times(graph, idle_s, loads)
        return times_s

    def _idle_s(self, graph: LayerGraph) -> npt.NDArray[np.float64]:
        """Return the device profile's times, kept with the graph."""
        device, idle_s = graph.derived.get("server_idle_s", (None, None))
        if device is not self._device:
            idle_s = self._device.layer_times(graph)
            graph.derived["server_idle_s"] = (self._device, idle_s)
        return idle_s


def _query(seconds: float) -> pd.DataFrame:
    """A model whose query is timed as one layer: all of its layers are slowed down alike."""
    names = {"model": f"{seconds} s", "layer": "all", "kind": "query", "idle_s": seconds}
    return pd.DataFrame([names | dict.fromkeys(HYPERPARAMETERS, 0)])
