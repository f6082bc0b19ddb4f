"""How far estimators err on held-out parts of a contention profile, and how long they take."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.inspection import permutation_importance
from threadpoolctl import threadpool_limits

from testbed.arrays import FloatArray
from testbed.dnn.devices.layer_times import LayerTimeEstimator, LayerWork
from testbed.errors import ConfigurationError
from testbed.gpu.contention.contention_profile import HYPERPARAMETERS, LOAD
from testbed.gpu.estimation.boosting import Boosting, IdleTimesSlowdown
from testbed.gpu.estimation.estimators import Estimator, Forest, IdleProfile, LinearLogarithmic

CONVOLUTION = "Convolution"
KEPT = "monotone GB w/ load"  # the one that `ServerTimes` uses by default

#: The paper's three, what each of load and forest does alone, and what goes beyond.
ESTIMATORS: dict[str, Callable[[], Estimator]] = {
    "idle profile": IdleProfile,
    "LL": lambda: LinearLogarithmic(load=False),
    "LL w/ load": lambda: LinearLogarithmic(load=True),
    "RF": lambda: Forest(load=False),
    "RF w/ load": lambda: Forest(load=True),
    "GB w/ load": Boosting,
    KEPT: IdleTimesSlowdown,
    "monotone GB, median": lambda: IdleTimesSlowdown(quantile=0.5),
}
PAPERS = ("LL", "LL w/ load", "RF w/ load")

_HELD_OUT_LAYERS = 0.2
_MAX_PERMUTED = 5000  # rows, which settle the third digit


class Evaluation(NamedTuple):
    """What `evaluate` finds, each a table.

    `mae` has the rows of `errors` for both splits, which `held_out` names: "runs" or "layers";
    `importances` those of the forest with load; `times` has `estimator`, `fit_s`, and `estimate_s`
    for so many `layer_times`, all on one core.
    """

    mae: pd.DataFrame
    importances: pd.DataFrame
    times: pd.DataFrame


def evaluate(
    profile: pd.DataFrame, servers: int, seed: int, say: Callable[[str], None] = lambda _: None
) -> Evaluation:
    """Let all `ESTIMATORS` learn from a contention profile, and test them on what is held out.

    The profile has `contention.COLUMNS`, with at least 3 runs with each number of clients. The time
    to estimate all layers of the largest model is measured for so many servers. `say` is told each
    step.
    """
    training, testing = split_by_run(profile)
    say("learn from load periods")
    learnt, fit_s = _learn(training)
    by_run = errors(testing, _estimate(learnt, testing)).assign(held_out="runs")
    rows = rows_to_estimate(testing, servers)
    times = pd.DataFrame(
        {
            "estimator": [*learnt],
            "fit_s": fit_s,
            "estimate_s": [_median_s(partial(each.predict, rows)) for each in learnt.values()],
            "layer_times": len(rows),
        }
    )
    forest = learnt["RF w/ load"]
    assert isinstance(forest, Forest)
    found = importances(forest, testing, seed)
    training, testing = split_by_layer(training, testing, seed)
    say("learn from load periods and layers")
    by_layer = errors(testing, _estimate(_learn(training)[0], testing)).assign(held_out="layers")
    return Evaluation(pd.concat([by_run, by_layer], ignore_index=True), found, times)


def split_by_run(profile: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return what to learn from, and what is held out: every third run with each number of clients.

    Runs count in the order of their mean gaps, so both have light and heavy loads; they never share
    a query or a load period. Raises ConfigurationError if what is held out has layer types at
    numbers of clients that nothing is learnt of, since too little was timed.
    """
    runs = profile.drop_duplicates("run").sort_values(["clients", "mean_gap_s"])
    held_out = runs.loc[runs.groupby("clients").cumcount() % 3 == 1, "run"]
    is_held_out = profile["run"].isin(held_out)
    training, testing = profile[~is_held_out], profile[is_held_out]
    sample = [set(zip(part["kind"], part["clients"], strict=True)) for part in (training, testing)]
    unknown = sample[1] - sample[0]
    if unknown or not sample[1]:
        what = ", ".join(f"{kind} at {clients} clients" for kind, clients in sorted(unknown)[:3])
        raise ConfigurationError(
            f"too little was timed to learn from and to test: {what or 'nothing is held out'}; give"
            " more --seconds or --runs"
        )
    return training, testing


def split_by_layer(
    training: pd.DataFrame, testing: pd.DataFrame, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both without each other's layers: a harder split, on top of that by run.

    Of each type a fifth of the different layers is held out, not measured idle either: their
    `idle_s` are estimated from those of the others. Layers of equal hyperparameters go together,
    and types of fewer than five different layers are all learnt.
    """
    rng = np.random.default_rng(seed)
    layers = training.drop_duplicates(["kind", *HYPERPARAMETERS])
    held_out = pd.concat(
        group.sample(int(len(group) * _HELD_OUT_LAYERS), random_state=rng)
        for _, group in layers.groupby("kind")
    )
    keys = pd.MultiIndex.from_frame(held_out[["kind", *HYPERPARAMETERS]])

    def is_held_out(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
        return pd.MultiIndex.from_frame(rows[["kind", *HYPERPARAMETERS]]).isin(keys)

    training, testing = training[~is_held_out(training)], testing[is_held_out(testing)]
    learnt = training.drop_duplicates(["model", "layer"])
    estimator = LayerTimeEstimator(_works(learnt), learnt["idle_s"].tolist())
    idle_s = [estimator.estimate(work) for work in _works(testing)]
    return training, testing.assign(idle_s=idle_s)


def errors(testing: pd.DataFrame, estimated_s: Mapping[str, FloatArray]) -> pd.DataFrame:
    """Return each estimator's mean absolute error, a row for each number of clients and for all.

    Columns: `estimator`; `of`: layers of type "Convolution", "all" layers, or whole "query"s, whose
    layers' errors can cancel; `clients`, missing in the rows for all numbers; `mae_s` in seconds;
    `bias_s`, the mean of estimated less measured; `samples`.
    """
    found = []
    for name, times_s in estimated_s.items():
        layers = testing[["request", "kind", "clients"]].assign(
            error_s=times_s - testing["time_s"].to_numpy()
        )
        queries = layers.groupby("request").agg({"error_s": "sum", "clients": "first"})
        for of, rows in {
            CONVOLUTION: layers[layers["kind"] == CONVOLUTION],
            "all": layers,
            "query": queries,
        }.items():
            for clients, group in (*rows.groupby("clients"), (None, rows)):
                if len(group):
                    error_s = group["error_s"]
                    means = error_s.abs().mean(), error_s.mean()
                    found.append((name, of, clients, *means, len(group)))
    columns = ["estimator", "of", "clients", "mae_s", "bias_s", "samples"]
    return pd.DataFrame(found, columns=columns).astype({"clients": "Int64"})


def importances(forest: Forest, testing: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Return the importance of each feature in the forest of convolutions, the greatest first.

    Columns: `feature`; `impurity`: its share in the squared error that the splits took away in
    training; `permutation_s`: how many seconds the held-out mean absolute error grows when its
    values are shuffled among the rows.
    """
    rows = testing[testing["kind"] == CONVOLUTION]
    rows = rows.sample(min(len(rows), _MAX_PERMUTED), random_state=seed)
    features = forest.features
    model = forest.models[CONVOLUTION]
    permuted = permutation_importance(
        model,
        rows[features],
        rows["time_s"],
        scoring="neg_mean_absolute_error",
        n_repeats=3,
        random_state=seed,
    )
    found = pd.DataFrame(
        {
            "feature": features,
            "impurity": model.feature_importances_,
            "permutation_s": permuted.importances_mean,
        }
    )
    return found.sort_values("impurity", ascending=False, ignore_index=True)


def rows_to_estimate(testing: pd.DataFrame, servers: int) -> pd.DataFrame:
    """Return all layers of the profile's largest model at each of so many servers' loads."""
    layers = testing.drop_duplicates(["model", "layer"])
    largest = layers["model"].value_counts().idxmax()
    sample = testing.drop_duplicates("request")
    sample = sample.iloc[np.linspace(0, len(sample) - 1, servers).astype(int)]
    return (
        layers[layers["model"] == largest]
        .drop(columns=["clients", *LOAD])
        .merge(sample[["clients", *LOAD]], how="cross")
    )


def _learn(training: pd.DataFrame) -> tuple[dict[str, Estimator], list[float]]:
    """Return all estimators, fitted, and the seconds that each took on one thread."""
    learnt = {name: make() for name, make in ESTIMATORS.items()}
    fit_s = []
    with threadpool_limits(1):
        for estimator in learnt.values():
            start_s = time.perf_counter()
            estimator.fit(training)
            fit_s.append(time.perf_counter() - start_s)
    return learnt, fit_s


def _estimate(learnt: Mapping[str, Estimator], rows: pd.DataFrame) -> dict[str, FloatArray]:
    return {name: estimator.predict(rows) for name, estimator in learnt.items()}


def _median_s(action: Callable[[], object], repeats: int = 15) -> float:
    """Return how long something takes on one thread."""
    times_s = []
    with threadpool_limits(1):
        action()
        for _ in range(repeats):
            start_s = time.perf_counter()
            action()
            times_s.append(time.perf_counter() - start_s)
    return float(np.median(times_s))


def _works(rows: pd.DataFrame) -> list[LayerWork]:
    columns = rows[[*LayerWork.__struct_fields__]]
    return [LayerWork(*row) for row in columns.itertuples(index=False, name=None)]
