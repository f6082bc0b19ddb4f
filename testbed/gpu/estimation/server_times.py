"""What the master expects of edge servers: their layers' times at their present loads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from testbed.dnn.devices.device_profile import DeviceProfile
from testbed.dnn.graph import LayerGraph
from testbed.errors import ConfigurationError
from testbed.gpu.accelerator import AcceleratorParameters
from testbed.gpu.contention.contention_profile import (
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
CLIENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
RUNS, RUN_S = 20, 2.0
QUERIES_S = (0.005, 0.015)


class ServerTimes:
    """The execution-time estimator of a kind of edge server (section III.C.1).

    A layer takes the device profile's time on the idle server, times the slowdown at the server's
    load, fitted to a contention profile of such a server. `source` is that of the profile's
    statistics; those of another source mean something else.
    """

    def __init__(self, device: DeviceProfile, slowdown: Slowdown, source: str) -> None:
        self._device = device
        self._slowdown = slowdown
        self._source = source

    @classmethod
    def train(
        cls, device: DeviceProfile, *, parameters: AcceleratorParameters = DEFAULTS, seed: int = 1
    ) -> ServerTimes:
        """Return the estimator of modelled accelerators with a device's layer times.

        The same arguments give the same estimator.
        """
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

        Where no client has work they are exactly the device profile's, and nowhere less. Raises
        ConfigurationError for statistics of another source than the estimator learnt from, or a
        layer that the device profile cannot tell.
        """
        for each in stats:
            if each.clients and each.source != self._source:
                raise ConfigurationError(
                    f"execution times were learnt from {self._source} statistics and cannot be "
                    f"estimated from {each.source} ones: make a contention profile of that server"
                )
        return self._slowdown.of(load_features(stats))[:, None] * self._idle_s(graph)

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
