"""Estimators of layer times, against laws that are known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from testbed.gpu.contention.contention_profile import LOAD
from testbed.gpu.estimation.estimators import Estimator, LinearLogarithmic
from testbed.gpu.estimation.evaluation import ESTIMATORS, KEPT


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


def test_the_nearest_number_is_one_that_a_type_of_layer_was_timed_with() -> None:
    rows = planted(lambda rows: 1e-5 + 2e-12 * rows["input_bytes"])
    estimator = LinearLogarithmic(load=False)
    estimator.fit(rows[(rows["kind"] != "Pooling") | (rows["clients"] == 2)])
    two, five = (estimator.predict(rows.assign(clients=number)) for number in (2, 5))
    pooling = (rows["kind"] == "Pooling").to_numpy()
    assert (two == five).tolist() == pooling.tolist()


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
