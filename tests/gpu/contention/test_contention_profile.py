"""Contention profiles: what is in them, and that the real profiler leaves no process behind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from testbed.dnn.models.published import published_graph
from testbed.errors import MachineError, ModelError, TestbedError
from testbed.gpu.accelerator import AcceleratorParameters
from testbed.gpu.contention.contention_host import InferenceProcesses, profile_real
from testbed.gpu.contention.contention_process import QueryRepeatedly
from testbed.gpu.contention.contention_profile import (
    COLUMNS,
    GAPS_S,
    HYPERPARAMETERS,
    layer_table,
    load_periods,
    profile_modelled,
)

TINY = "tests.nodes.tiny_model:factory"
LAYERS_S = (0.001, 0.004, 0.0)


def table(layers_s: Sequence[float] = LAYERS_S) -> pd.DataFrame:
    """A model of layers that take so long alone."""
    sizes: dict[str, object] = dict.fromkeys(HYPERPARAMETERS, 1)
    names = [f"layer{number}" for number in range(len(layers_s))]
    return pd.DataFrame(
        {"model": "made-up", "layer": names, "kind": "ReLU", **sizes, "idle_s": layers_s}
    )


@pytest.fixture(scope="module")
def profile() -> pd.DataFrame:
    return profile_modelled([table()], [1, 6], runs=6, run_s=4.0)


# Modelled


def test_profile_has_the_documented_columns_and_says_that_it_is_modelled(
    profile: pd.DataFrame,
) -> None:
    assert {name: str(dtype) for name, dtype in profile.dtypes.items()} == {
        name: str(profile["source"].dtype) if dtype == "str" else dtype
        for name, (dtype, _) in COLUMNS.items()
    }
    assert set(profile["source"]) == {"modelled"}
    assert not profile.isna().any().any()


def test_each_query_has_all_layers_and_one_load(profile: pd.DataFrame) -> None:
    for _, query in profile.groupby("request"):
        assert query["layer"].tolist() == ["layer0", "layer1", "layer2"]
        assert query["idle_s"].tolist() == list(LAYERS_S)
        load = query.drop(columns=["layer", "idle_s", "time_s"])
        assert len(load.drop_duplicates()) == 1


def test_times_are_those_of_the_accelerator(profile: pd.DataFrame) -> None:
    worst = AcceleratorParameters().slowdown(7)
    assert (profile["time_s"] >= profile["idle_s"] - 1e-9).all()
    assert (profile["time_s"] <= profile["idle_s"] * worst + 1e-9).all()
    assert (profile["time_s"] > 3 * profile["idle_s"])[profile["clients"] == 6].any()
    untouched = profile[profile["kernel_utilisation"] < 0.001]
    assert len(untouched)
    assert untouched["time_s"].to_numpy() == pytest.approx(untouched["idle_s"], abs=1e-9)


def test_statistics_are_of_the_other_clients(profile: pd.DataFrame) -> None:
    assert (profile["active_clients"] <= profile["clients"]).all()
    busy = profile.groupby(["clients", "run"])["kernel_utilisation"].mean()
    assert busy.max() > 0.9
    assert busy.min() < 0.1


def test_same_seed_gives_the_same_profile(profile: pd.DataFrame) -> None:
    again = profile_modelled([table()], [1, 6], runs=6, run_s=4.0)
    pd.testing.assert_frame_equal(again, profile)
    other = profile_modelled([table()], [1, 6], runs=6, run_s=4.0, seed=2)
    assert not other["time_s"].reset_index(drop=True).equals(profile["time_s"])


def test_survives_parquet(profile: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "profile.parquet"
    profile.to_parquet(path, index=False)
    pd.testing.assert_frame_equal(pd.read_parquet(path), profile)


def test_load_periods_cover_all_gaps_with_each_number_of_clients() -> None:
    periods = load_periods([1, 4], 10, np.random.default_rng(0))
    low, high = np.log(GAPS_S)
    for clients in (1, 4):
        gaps = np.sort([gap_s for number, gap_s in periods if number == clients])
        parts = (np.log(gaps) - low) / (high - low) * 10
        assert np.floor(parts).tolist() == list(range(10))
    assert periods != sorted(periods)


def test_layer_table_has_hyperparameters_of_a_published_model() -> None:
    rows = layer_table(published_graph("inception")).set_index("layer")
    assert len(rows) == len(published_graph("inception"))
    first = rows.loc["conv_conv1"]
    assert (first["kernel"], first["stride"], first["filters"], first["group"]) == (7, 2, 96, 1)
    assert first["weight_bytes"] == 56832


# Real


def test_profile_of_this_machine() -> None:
    rows = profile_real([TINY], [1], run_s=0.5, runs=2, idle_s=0.3, seed=3)
    assert list(rows.columns) == list(COLUMNS)
    assert set(rows["source"]) == {"host"}
    assert set(rows["clients"]) == {1}
    assert set(rows["run"]) == {0, 1}
    assert rows["active_clients"].isin([0, 1]).all()
    assert (rows["time_s"] > 0).all()
    assert (rows["idle_s"] > 0).all()
    assert (rows.loc[rows["kind"] == "Convolution", "kernel"] == 3).all()
    assert set(rows["kind"]) >= {"Convolution", "InnerProduct", "Pooling"}


def test_clients_run_while_others_are_timed_and_pause_afterwards() -> None:
    with InferenceProcesses([TINY], 2, "cpu", 1) as processes:
        both = processes.time([0, 1], 0.001, 0.4, 0.2)
        none = processes.time([], 0.001, 0.5, 0.2)
    assert both
    assert {request.stats.clients for request in both} == {2}
    assert none
    assert {request.stats.clients for request in none} == {0}
    assert all(len(request.times_s) == len(processes.tables[0]) for request in both)


@pytest.mark.parametrize("raises", [False, True])
def test_no_process_is_left(raises: bool) -> None:
    processes = InferenceProcesses([TINY], 2, "cpu", 1)
    with suppress(RuntimeError), processes:
        assert len(processes.pids) == 3
        assert all(psutil.pid_exists(pid) for pid in processes.pids)
        processes._clients[0].tell(QueryRepeatedly(0.001))  # at work when it ends
        if raises:
            raise RuntimeError
    assert len(processes.pids) == 3
    assert not any(psutil.pid_exists(pid) for pid in processes.pids)


def test_processes_end_with_who_started_them() -> None:
    with InferenceProcesses([TINY], 1, "cpu", 1) as processes:
        started = [psutil.Process(pid) for pid in processes.pids]
        for process in (processes._timed, processes._clients[0]):
            process._stdin.close()
        _, alive = psutil.wait_procs(started, timeout=30)
        assert not alive


def test_process_that_dies_is_told() -> None:
    with InferenceProcesses([TINY], 1, "cpu", 1) as processes:
        psutil.Process(processes.pids[0]).kill()
        with pytest.raises(TestbedError, match="timed client ended with status -9"):
            processes.time([0], 0.01, 5.0, 0.1)


def test_unknown_model_and_missing_gpu_are_told_and_leave_nothing() -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(ModelError, match="inceptoin"):
        profile_real(["inceptoin"], [1], run_s=0.1)
    import torch

    if not torch.cuda.is_available():
        with pytest.raises(MachineError, match="no CUDA device"):
            profile_real([TINY], [1], run_s=0.1, accelerator="cuda")
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_nan_crosses_between_processes() -> None:
    with InferenceProcesses([TINY], 1, "cpu", 1) as processes:
        (request, *_) = processes.time([0], 0.01, 0.2, 0.1)
    assert math.isnan(request.stats.memory_utilisation)
