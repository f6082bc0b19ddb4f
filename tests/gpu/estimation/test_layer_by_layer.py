"""The paper's estimators as the master's, chosen by `server.estimator`."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from testbed.dnn.devices.device_profile import DeviceProfile, device_profile
from testbed.dnn.graph import Layer, LayerGraph, TensorSpec
from testbed.dnn.models.published import MODELS, published_graph
from testbed.errors import ConfigurationError
from testbed.gpu.contention.contention_profile import LOAD, layer_table, profile_modelled
from testbed.gpu.estimation import layer_by_layer
from testbed.gpu.estimation.layer_by_layer import ESTIMATORS, LayerByLayer, layer_profile
from testbed.gpu.estimation.server_times import ServerTimes
from testbed.gpu.stats import ServerStats

IDLE = ServerStats("modelled", 0, 0.0, 0.0, 0, math.nan)
NAMES = tuple(ESTIMATORS)
BUSY = ServerStats("modelled", 16, 1.0, 0.5, 10**9, 70.0)


@pytest.fixture(scope="module")
def contention() -> pd.DataFrame:
    return layer_profile(device_profile("titan-xp"))


@pytest.fixture(scope="module")
def estimators(contention: pd.DataFrame) -> dict[str, ServerTimes]:
    device = device_profile("titan-xp")
    return {name: ServerTimes(device, LayerByLayer(name, contention), "modelled") for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_idle_server_has_exactly_the_device_profiles_times(
    name: str, estimators: dict[str, ServerTimes]
) -> None:
    for model in MODELS:
        graph = published_graph(model)
        idle_s = device_profile("titan-xp").layer_times(graph)
        times_s = estimators[name].layer_times(graph, [IDLE, BUSY, IDLE])
        assert (times_s[[0, 2]] == idle_s).all()
        assert times_s[1].sum() > 4 * idle_s.sum()
        assert estimators[name].layer_times(graph, []).shape == (0, len(graph))


@pytest.mark.parametrize("name", NAMES)
def test_batch_equals_one_by_one(name: str, estimators: dict[str, ServerTimes]) -> None:
    graph = published_graph("mobilenet")
    stats = [ServerStats("modelled", k, min(1.0, k / 6), k / 40, 10**9, 40 + k) for k in range(9)]
    batch = estimators[name].layer_times(graph, stats)
    one_by_one = [estimators[name].layer_times(graph, [each])[0] for each in stats]
    assert batch == pytest.approx(np.array(one_by_one))


def test_regressions_without_load_are_told_the_number_of_clients_alone(
    estimators: dict[str, ServerTimes],
) -> None:
    graph = published_graph("resnet")
    stats = [ServerStats("modelled", 4, *seen) for seen in ((0.1, 0.1, 0, 36.0), (1, 0.5, 9, 80.0))]
    alike = {
        name: bool(np.ptp(each.layer_times(graph, stats), axis=0).max() < 1e-12)
        for name, each in estimators.items()
    }
    assert alike == {"forest": False, "ll": True, "ll_load": False}


def test_estimates_of_whole_queries_are_near_what_was_timed(
    estimators: dict[str, ServerTimes],
) -> None:
    """On another profile than they learnt from, at numbers of clients that they did not see."""
    graph = published_graph("inception")
    table = layer_table(graph).assign(idle_s=device_profile("titan-xp").layer_times(graph))
    timed = profile_modelled([table], [5, 10], runs=12, run_s=1.5, seed=77)
    queries = timed.groupby("request").agg({"time_s": "sum", **dict.fromkeys(LOAD, "first")})
    stats = [
        ServerStats("modelled", int(clients), busy, memory, 0, celsius)
        for clients, busy, memory, celsius in queries[[*LOAD]].itertuples(index=False)
    ]
    error_s = {
        name: np.abs(each.layer_times(graph, stats).sum(axis=1) - queries["time_s"]).mean()
        for name, each in estimators.items()
    }
    assert error_s["forest"] < error_s["ll_load"] < error_s["ll"]
    assert error_s["forest"] < 0.25 * queries["time_s"].mean()


def test_layers_of_types_that_were_not_learnt_are_refused(
    estimators: dict[str, ServerTimes],
) -> None:
    layers = (Layer("a", "Convolution", (-1,), 10, 10), Layer("b", "gelu", (0,), 0, 10))
    own = LayerGraph("mine", layers, (TensorSpec("x", (10,), "uint8"),), 10, (1,))
    for each in estimators.values():
        with pytest.raises(ConfigurationError, match=r"server.estimator.*'mine'.*\(gelu\)"):
            each.layer_times(own, [BUSY])
    with pytest.raises(ConfigurationError, match="gelu"):
        layer_by_layer.check_learnable(own, device_profile("titan-xp"))


def test_device_of_few_measured_layers_is_refused() -> None:
    small = DeviceProfile({"device": "small"}, device_profile("titan-xp").layers[:3])
    with pytest.raises(ConfigurationError, match="cannot be estimated from 3 measured"):
        layer_by_layer.check_learnable(published_graph("resnet"), small)


def test_unknown_estimator_is_refused(contention: pd.DataFrame) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'forest'"):
        LayerByLayer("forrest", contention)


def test_training_by_name_is_repeatable(estimators: dict[str, ServerTimes]) -> None:
    graph = published_graph("inception")
    again = ServerTimes.train(device_profile("titan-xp"), "ll_load")
    expected_s = estimators["ll_load"].layer_times(graph, [BUSY])
    assert (again.layer_times(graph, [BUSY]) == expected_s).all()
