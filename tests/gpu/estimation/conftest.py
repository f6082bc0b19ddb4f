"""What tests of estimators share: a profile under load, its split, and what learnt from it."""

from __future__ import annotations

import pandas as pd
import pytest

from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.models.published import published_graph
from testbed.gpu.contention.contention_profile import layer_table, profile_modelled
from testbed.gpu.estimation.estimators import Estimator
from testbed.gpu.estimation.evaluation import ESTIMATORS, KEPT, split_by_run
from testbed.gpu.estimation.server_times import ServerTimes


@pytest.fixture(scope="session")
def profile() -> pd.DataFrame:
    """Of MobileNet and ResNet: all types of layers that the published models have, but Concat."""
    device = device_profile("titan-xp")
    graphs = [published_graph(model) for model in ("mobilenet", "resnet")]
    tables = [layer_table(graph).assign(idle_s=device.layer_times(graph)) for graph in graphs]
    return profile_modelled(tables, [1, 4, 12], runs=18, run_s=3.0)


@pytest.fixture(scope="session")
def split(profile: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return split_by_run(profile)


@pytest.fixture(scope="session")
def learnt(split: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, Estimator]:
    names = ("idle profile", "LL", "LL w/ load", "RF w/ load", KEPT)
    fitted = {name: ESTIMATORS[name]() for name in names}
    for estimator in fitted.values():
        estimator.fit(split[0])
    return fitted


@pytest.fixture(scope="session")
def server_times() -> ServerTimes:
    return ServerTimes.train(device_profile("titan-xp"))
