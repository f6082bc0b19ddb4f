"""The slowdown under load, and the times that the master expects."""

from __future__ import annotations

import math
import subprocess
import sys

import msgspec
import numpy as np
import pandas as pd
import pytest

from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.models.published import published_graph
from testbed.errors import ConfigurationError
from testbed.gpu.contention.contention_profile import LOAD, layer_table, profile_modelled
from testbed.gpu.estimation.server_times import ServerTimes
from testbed.gpu.estimation.slowdown import Slowdown
from testbed.gpu.stats import ServerStats

IDLE = ServerStats("modelled", 0, 0.0, 0.0, 0, math.nan)


def loaded(clients: int, busy: float, memory: float, temperature_c: float = 50.0) -> ServerStats:
    return ServerStats("modelled", clients, busy, memory, 10**9, temperature_c)


def test_slowdown_does_not_fall_with_load(profile: pd.DataFrame) -> None:
    slowdown = Slowdown()
    slowdown.fit(profile)
    rng = np.random.default_rng(1)
    bounds = np.array([20, 1.0, 0.6, 90.0])
    lighter = rng.random((500, 4)) * bounds
    lighter[:, 0] = np.floor(lighter[:, 0])
    heavier = lighter + rng.random((500, 4)) * bounds
    heavier[:, 0] = np.floor(heavier[:, 0])
    one, other = slowdown.of(lighter), slowdown.of(heavier)
    assert (one >= 1).all()
    assert (other >= one).all()
    assert other.max() > 3


def test_idle_server_has_exactly_the_device_profiles_times(server_times: ServerTimes) -> None:
    graph = published_graph("inception")
    idle_s = device_profile("titan-xp").layer_times(graph)
    unmeasured = ServerStats("host", 0, math.nan, math.nan, 0, math.nan)
    times_s = server_times.layer_times(graph, [IDLE, loaded(8, 1.0, 0.5), unmeasured])
    assert times_s.shape == (3, len(graph))
    assert (times_s[[0, 2]] == idle_s).all()
    assert (times_s[1] > 3 * idle_s).all()


def test_batch_equals_one_by_one(server_times: ServerTimes) -> None:
    graph = published_graph("mobilenet")
    stats = [loaded(k, min(1.0, k / 6), min(0.55, k / 12), 40 + k) for k in range(12)]
    batch = server_times.layer_times(graph, stats)
    for row, each in zip(batch, stats, strict=True):
        assert (server_times.layer_times(graph, [each])[0] == row).all()
    assert server_times.layer_times(graph, []).shape == (0, len(graph))


def test_training_is_repeatable(server_times: ServerTimes) -> None:
    graph = published_graph("resnet")
    stats = [loaded(k, 0.1 * k, 0.05 * k) for k in range(1, 10)]
    again = ServerTimes.train(device_profile("titan-xp"))
    assert (again.layer_times(graph, stats) == server_times.layer_times(graph, stats)).all()


def test_each_device_has_its_own_times(server_times: ServerTimes) -> None:
    graph = published_graph("inception")
    slow = ServerTimes(device_profile("odroid-xu4"), Slowdown(), "modelled")
    assert (slow.layer_times(graph, [IDLE]) > server_times.layer_times(graph, [IDLE])).all()
    assert (
        server_times.layer_times(graph, [IDLE])[0] == device_profile("titan-xp").layer_times(graph)
    ).all()


def test_estimates_of_whole_queries_are_near_what_a_modelled_server_takes(
    server_times: ServerTimes,
) -> None:
    """On another profile than it learnt from, at numbers of clients that it did not see."""
    graph = published_graph("inception")
    table = layer_table(graph).assign(idle_s=device_profile("titan-xp").layer_times(graph))
    met = profile_modelled([table], [5, 10], runs=12, run_s=3.0, seed=77)
    queries = met.groupby("request").agg({"time_s": "sum", **dict.fromkeys(LOAD, "first")})
    stats = [loaded(int(row[0]), *row[1:]) for row in queries[[*LOAD]].itertuples(index=False)]
    estimated_s = server_times.layer_times(graph, stats).sum(axis=1)
    assert np.abs(estimated_s - queries["time_s"]).mean() < 0.2 * queries["time_s"].mean()
    assert estimated_s.mean() == pytest.approx(queries["time_s"].mean(), rel=0.15)


def test_statistics_of_another_source_are_refused(server_times: ServerTimes) -> None:
    measured = msgspec.structs.replace(loaded(2, 0.5, 0.2), source="nvml")
    with pytest.raises(ConfigurationError, match=r"modelled statistics.*nvml"):
        server_times.layer_times(published_graph("mobilenet"), [IDLE, measured])


def test_master_needs_no_pytorch() -> None:
    """The simulator and the master load it in a fraction of PyTorch's time."""
    modules = ("estimation.server_times", "estimation.evaluation", "contention.contention_host")
    imports = "".join(f"import testbed.gpu.{module}\n" for module in modules)
    program = f"import sys\n{imports}sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
