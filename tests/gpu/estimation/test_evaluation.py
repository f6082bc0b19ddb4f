"""The paper's ranking of estimators, and how what is held out is chosen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testbed.dnn.models.published import published_graph
from testbed.errors import ConfigurationError
from testbed.gpu.contention.contention_profile import HYPERPARAMETERS, LOAD
from testbed.gpu.estimation.estimators import Estimator, Forest
from testbed.gpu.estimation.evaluation import (
    CONVOLUTION,
    KEPT,
    errors,
    importances,
    rows_to_estimate,
    split_by_layer,
    split_by_run,
)


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


def test_rows_to_estimate_are_the_largest_model_at_each_server(profile: pd.DataFrame) -> None:
    rows = rows_to_estimate(profile, 4)
    assert set(rows["model"]) == {"resnet"}
    assert len(rows) == 4 * len(published_graph("resnet"))
    assert len(rows[[*LOAD]].drop_duplicates()) == 4


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
