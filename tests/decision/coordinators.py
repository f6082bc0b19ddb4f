"""A coordinator of four servers on a line, and a model of three layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from testbed.decision.coordinator import Coordinator
from testbed.decision.policies import PerDnn, Policy
from testbed.dnn.graph import Layer, LayerGraph, TensorSpec
from testbed.gpu.stats import ServerStats
from testbed.mobility.positions import Stay
from testbed.settings.experiment import Migration
from testbed.values import AccessPoint

#: A convolution, an activation without weights, and a large last layer.
LAYERS = (
    Layer("conv", "Convolution", (-1,), 4_000, 50_000),
    Layer("relu", "ReLU", (0,), 0, 50_000),
    Layer("fc", "InnerProduct", (1,), 900_000, 400),
)
GRAPH = LayerGraph("three", LAYERS, (TensorSpec("x", (60_000,), "uint8"),), 60_000, (2,))
CLIENT_S = (1.0, 0.1, 1.0)
PLACES = tuple(AccessPoint(f"ap{i}", 60.0 * i, 0.0) for i in range(4))


def busy(clients: int) -> ServerStats:
    return ServerStats("modelled", clients, min(1.0, 0.1 * clients), 0.0, 0, 40.0)


def times(graph: LayerGraph, stats: Sequence[ServerStats]) -> npt.NDArray[np.float64]:
    """Every layer takes 1 ms on an idle server, and 1 ms more for each client."""
    return np.outer([0.001 * (1 + load.clients) for load in stats], np.ones(len(graph)))


def build(policy: type[Policy] = PerDnn, n: int = 3) -> Coordinator:
    return Coordinator(
        access_points=PLACES,
        predictor=Stay(n),
        policy=policy(Migration(radius_m=70.0)),
        server_times=times,
        rates_bps=(35e6, 50e6),
        interval_s=30.0,
        gap_s=0.5,
    )
