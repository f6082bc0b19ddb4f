"""Estimators on planted laws and on the modelled accelerator's contention."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from testbed.dnn.devices import device_profile
from testbed.dnn.published import published_graph
from testbed.errors import ConfigurationError
from testbed.gpu.contention import HYPERPARAMETERS, LOAD, layer_table, profile_modelled
from testbed.gpu.estimators import Estimator, Forest, LinearLogarithmic
from testbed.gpu.evaluation import (
    CONVOLUTION,
    ESTIMATORS,
    KEPT,
    errors,
    importances,
    rows_to_estimate,
    split_by_layer,
    split_by_run,
)
from testbed.gpu.server_times import ServerTimes
from testbed.gpu.slowdown import Slowdown
from testbed.gpu.stats import ServerStats

REPOSITORY = Path(__file__).resolve().parents[2]
IDLE = ServerStats("modelled", 0, 0.0, 0.0, 0, math.nan)


def loaded(clients: int, busy: float, memory: float, temperature_c: float = 50.0) -> ServerStats:
    return ServerStats("modelled", clients, busy, memory, 10**9, temperature_c)


@pytest.fixture(scope="module")
def profile() -> pd.DataFrame:
    """Of MobileNet and ResNet: all types of layers that the published models have, but Concat."""
    device = device_profile("titan-xp")
    graphs = [published_graph(model) for model in ("mobilenet", "resnet")]
    tables = [layer_table(graph).assign(idle_s=device.layer_times(graph)) for graph in graphs]
    return profile_modelled(tables, [1, 4, 12], runs=18, run_s=3.0)


@pytest.fixture(scope="module")
def split(profile: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return split_by_run(profile)


@pytest.fixture(scope="module")
def learnt(split: tuple[pd.DataFrame, pd.DataFrame]) -> dict[str, Estimator]:
    names = ("idle profile", "LL", "LL w/ load", "RF w/ load", KEPT)
    fitted = {name: ESTIMATORS[name]() for name in names}
    for estimator in fitted.values():
        estimator.fit(split[0])
    return fitted


@pytest.fixture(scope="module")
def server_times() -> ServerTimes:
    return ServerTimes.train(device_profile("titan-xp"))


# The paper's ranking


def test_ranking_of_the_paper_on_held_out_load_periods(
    split: tuple[pd.DataFrame, pd.DataFrame], learnt: dict[str, Estimator]
) -> None:
    testing = split[1]
    mae = errors(testing, {name: each.predict(testing) for name, each in learnt.items()})
    for of in (CONVOLUTION, "all"):
        rows = mae[(mae["of"] == of) & (mae["clients"] >= 4)]
        by_clients = rows.pivot(index="clients", columns="estimator", values="mae_s")
        assert (by_clients["RF w/ load"] < by_clients["LL w/ load"]).all()
        assert (by_clients["LL w/ load"] < by_clients["LL"]).all()
        assert (by_clients[KEPT] < by_clients["LL w/ load"]).all()
    whole = mae[mae["clients"].isna()].set_index(["of", "estimator"])["mae_s"]
    for of in (CONVOLUTION, "all"):
        assert whole[of, KEPT] < whole[of, "RF w/ load"]


def test_error_of_regression_without_load_surges_with_clients(
    split: tuple[pd.DataFrame, pd.DataFrame], learnt: dict[str, Estimator]
) -> None:
    mae = errors(split[1], {"LL": learnt["LL"].predict(split[1])})
    convolutions = mae[(mae["of"] == CONVOLUTION) & mae["clients"].notna()]
    one, four, twelve = convolutions.sort_values("clients")["mae_s"]
    assert one < four < twelve


def test_errors_are_means_over_layers_and_over_sums_of_queries() -> None:
    rows = pd.DataFrame(
        {
            "request": [0, 0, 1],
            "kind": [CONVOLUTION, "ReLU", CONVOLUTION],
            "clients": [1, 1, 2],
            "time_s": [1.0, 2.0, 3.0],
        }
    )
    mae = errors(rows, {"made-up": np.array([2.0, 1.0, 5.0])}).set_index(["of", "clients"])
    assert mae.loc[("all", 1), "mae_s"].item() == 1.0
    assert mae.loc[("query", 1), "mae_s"].item() == 0.0  # +1 and -1 cancel
    assert mae.loc[(CONVOLUTION, 2), ["mae_s", "bias_s", "samples"]].tolist() == [2.0, 2.0, 1]
    whole = mae[mae.index.get_level_values("clients").isna()]["mae_s"].droplevel("clients")
    assert whole.to_dict() == {CONVOLUTION: 1.5, "all": pytest.approx(4 / 3), "query": 1.0}


def test_most_important_feature_describes_the_load(
    split: tuple[pd.DataFrame, pd.DataFrame], learnt: dict[str, Estimator]
) -> None:
    forest = learnt["RF w/ load"]
    assert isinstance(forest, Forest)
    found = importances(forest, split[1])
    assert set(found["feature"]) == {*HYPERPARAMETERS, *LOAD}
    assert found["impurity"].sum() == pytest.approx(1.0)
    assert found["feature"][0] in LOAD
    assert found.loc[0, "permutation_s"] == found["permutation_s"].max()


# Splits


def test_split_by_run_shares_no_run_and_has_all_numbers_of_clients(
    split: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    training, testing = split
    assert not set(training["run"]) & set(testing["run"])
    assert not set(training["request"]) & set(testing["request"])
    assert set(training["clients"]) == set(testing["clients"]) == {1, 4, 12}
    assert testing["run"].nunique() == 18


def test_split_by_layer_shares_no_layer_and_hides_idle_times(
    split: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    training, testing = split_by_layer(*split)
    keys = ["kind", *HYPERPARAMETERS]
    known = set(training[keys].itertuples(index=False, name=None))
    held_out = set(testing[keys].itertuples(index=False, name=None))
    assert held_out
    assert not known & held_out
    assert set(testing["kind"]) <= set(training["kind"])
    resnet = testing[testing["model"] == "resnet"]  # whose layers were measured
    measured = split[1].loc[resnet.index, "idle_s"]
    assert (resnet["idle_s"] != measured).all()


# Linear and logarithmic laws


def planted(law: Callable[[pd.DataFrame], pd.Series]) -> pd.DataFrame:
    """Layers of three types with two numbers of clients, twice as slow with 5 as with 2."""
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(
        {
            "kind": rng.choice(["Convolution", "Pooling", "ReLU"], 600),
            "clients": rng.choice([2, 5], 600),
            "input_bytes": rng.integers(10_000, 10_000_000, 600),
            "output_bytes": rng.integers(10_000, 10_000_000, 600),
            "kernel": rng.choice([1.0, 3.0, 7.0], 600),
            "stride": rng.choice([1.0, 2.0], 600),
            "filters": rng.choice([16, 64, 512], 600),
            **{name: rng.random(600) for name in LOAD},
        }
    )
    return rows.assign(time_s=law(rows) * (1 + (rows["clients"] == 5)))


def window_filters(rows: pd.DataFrame) -> pd.Series:
    return (rows["kernel"] / rows["stride"]) ** 2 * rows["filters"]


@pytest.mark.parametrize("load", [False, True])
@pytest.mark.parametrize(
    "law",
    [
        lambda rows: 1e-5 + 2e-12 * rows["input_bytes"],
        lambda rows: 1e-5 + 3e-6 * np.log1p(rows["input_bytes"]),
        lambda rows: (
            2e-5
            + 1e-12 * rows["input_bytes"]
            + (rows["kind"] == "Convolution") * 4e-9 * window_filters(rows)
            + (rows["kind"] == "Pooling") * 3e-12 * rows["output_bytes"]
        ),
    ],
    ids=["linear", "logarithmic", "by type"],
)
def test_planted_law_is_recovered(law: Callable[[pd.DataFrame], pd.Series], load: bool) -> None:
    rows = planted(law)
    estimator = LinearLogarithmic(load=load)
    estimator.fit(rows[:400])
    assert estimator.predict(rows[400:]) == pytest.approx(rows["time_s"][400:].to_numpy(), rel=1e-6)


def test_law_of_the_load_is_recovered_only_with_load() -> None:
    rows = planted(lambda rows: 1e-5 + 2e-12 * rows["input_bytes"])
    rows["time_s"] += 5e-5 * rows["kernel_utilisation"]
    with_load, without = LinearLogarithmic(load=True), LinearLogarithmic(load=False)
    with_load.fit(rows)
    without.fit(rows)
    assert with_load.predict(rows) == pytest.approx(rows["time_s"].to_numpy(), rel=1e-6)
    assert np.abs(without.predict(rows) - rows["time_s"]).mean() > 5e-6


def test_other_numbers_of_clients_are_estimated_as_the_nearest() -> None:
    rows = planted(lambda rows: 1e-5 + 2e-12 * rows["input_bytes"])
    estimator = LinearLogarithmic(load=False)
    estimator.fit(rows)
    one, four = (estimator.predict(rows.assign(clients=number)) for number in (1, 4))
    assert four == pytest.approx(2 * one)


def test_estimates_do_not_depend_on_the_rows_order(
    split: tuple[pd.DataFrame, pd.DataFrame], learnt: dict[str, Estimator]
) -> None:
    rows = split[1].sample(300, random_state=1)
    for estimator in learnt.values():
        one_by_one = [estimator.predict(rows.iloc[[place]])[0] for place in range(0, 300, 50)]
        assert estimator.predict(rows)[::50] == pytest.approx(one_by_one)


def test_what_a_source_does_not_measure_is_left_out(
    split: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    unknown = {"memory_utilisation": math.nan, "temperature_c": math.nan}
    training, testing = (rows.assign(**unknown) for rows in split)
    few = training[training["request"] % 4 == 0]
    for name, make in ESTIMATORS.items():
        estimator = make()
        estimator.fit(few)
        assert np.isfinite(estimator.predict(testing)).all(), name
    mean_s = testing["time_s"].mean()
    kept = ESTIMATORS[KEPT]()
    kept.fit(training)
    assert np.abs(kept.predict(testing) - testing["time_s"]).mean() < 0.3 * mean_s


def test_rows_to_estimate_are_the_largest_model_at_each_server(profile: pd.DataFrame) -> None:
    rows = rows_to_estimate(profile, 4)
    assert set(rows["model"]) == {"resnet"}
    assert len(rows) == 4 * len(published_graph("resnet"))
    assert len(rows[[*LOAD]].drop_duplicates()) == 4


# The slowdown, and the times that the master expects


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
    modules = ("server_times", "evaluation", "contention_host")
    imports = "".join(f"import testbed.gpu.{module}\n" for module in modules)
    program = f"import sys\n{imports}sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# The experiment


def fig4(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = REPOSITORY / "experiments" / "fig4_estimators.py"
    return subprocess.run(
        [sys.executable, str(program), *arguments], check=False, capture_output=True, text=True
    )


def test_experiment_writes_what_it_prints(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--clients", "1,4", "--runs", "3", "--seconds", "1.5", "--seed", "2")
    result = fig4(*options, "--json", "--out", str(out))
    assert result.returncode == 0, result.stderr
    content = json.loads(result.stdout)
    assert {row["estimator"] for row in content["rows"]} == set(ESTIMATORS)
    assert {row["clients"] for row in content["rows"]} == {1, 4, None}
    assert {row["held_out"] for row in content["rows"]} == {"runs", "layers"}
    assert len(pd.read_csv(out / "mae.csv")) == len(content["rows"])
    assert pd.read_parquet(out / "dataset.parquet")["clients"].isin([1, 4]).all()
    assert {path.name for path in (out / "figures").iterdir()} == {
        "fig4_estimators.png",
        "fig4_estimators.svg",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--clients", "1,x"),
        ("--clients", "0"),
        ("--runs", "2"),
        ("--seconds", "0"),
        ("--seed", "-1"),
        ("--server", "gpu"),
    ],
)
def test_experiment_refuses_wrong_settings(arguments: tuple[str, str], tmp_path: Path) -> None:
    result = fig4(*arguments, "--out", str(tmp_path / "run"))
    assert result.returncode == 2
    assert arguments[0] in result.stderr
    assert not (tmp_path / "run").exists()


def test_too_little_to_learn_from_is_said() -> None:
    """A layer type was met by two clients in the period that is held out, and in no other."""
    rows = pd.DataFrame(
        {
            "run": [0, 1, 2],
            "clients": [2, 2, 2],
            "mean_gap_s": [0.1, 0.2, 0.3],
            "kind": ["Convolution", "Concat", "Convolution"],
        }
    )
    with pytest.raises(ConfigurationError, match=r"Concat at 2 clients.*--seconds"):
        split_by_run(rows)
