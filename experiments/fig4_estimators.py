"""Fig. 4: errors of execution-time estimators by the number of clients at the server.

    python experiments/fig4_estimators.py
    python experiments/fig4_estimators.py --server host

Clients run inference on one server, each query a random gap after the last answer, while the layers
of one more client's queries are timed one by one and the server's statistics are read. Estimators
learn from two thirds of the load periods and are tested on the others. The server is the `modelled`
accelerator in virtual time, whose parameters are assumptions (testbed/gpu/sharing.py), this
machine's processors (`host`), or its GPU (`cuda`).

The paper's: LL (linear or logarithmic in a layer's hyperparameters, a model for each number of
clients), LL w/ load and RF w/ load (forest), which also see the server's statistics. Further: GB
(boosted trees), the idle time alone, and the idle time times a slowdown learnt from the statistics
(monotone GB), which the master uses. Bias is the mean of estimated less measured time.
"""

import argparse
import json
import time
from collections.abc import Iterator

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import pandas as pd

from testbed.analysis.figures.estimator_figures import draw_estimators
from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.models.published import MODELS, published_graph
from testbed.errors import ConfigurationError
from testbed.gpu.contention.contention_host import IDLE_S, Accelerator, profile_real
from testbed.gpu.contention.contention_profile import LOAD, layer_table, profile_modelled
from testbed.gpu.estimation.evaluation import (
    CONVOLUTION,
    ESTIMATORS,
    KEPT,
    PAPERS,
    Evaluation,
    evaluate,
)
from testbed.settings.options import Parser
from testbed.studies.calculation import Calculation, main
from testbed.studies.findings import Column, Findings, Table, plain, say

SERVERS = 10  # for which execution times are estimated at once
#: Numbers of clients, load periods of each, seconds of a load period.
DEFAULTS: dict[str, tuple[tuple[int, ...], int, float]] = {
    "modelled": ((1, 2, 4, 8, 16), 30, 4.0),
    "host": ((1, 2, 3, 4, 6), 10, 1.5),
    "cuda": ((1, 2, 4, 8, 16), 10, 2.5),
}
SPLITS = {"runs": "held-out load periods", "layers": "held-out layers, not measured idle either"}
OF = {CONVOLUTION: "Convolution layers", "all": "All layers", "query": "Whole queries"}


def options(command_line: Parser) -> None:
    """Add what is measured, and how long."""
    add = command_line.add_argument
    add("--server", choices=DEFAULTS, default="modelled", help="(default: %(default)s)")
    add("--clients", metavar="N,N,...", help="numbers of clients beside the timed one")
    add("--runs", type=int, metavar="N", help="load periods of each, at least 3")
    add("--seconds", type=float, metavar="S", help="of a load period")


def numbers(text: str) -> tuple[int, ...]:
    """Return "1,2,4" as numbers of clients."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and 0 < int(part) <= 1000 for part in parts):
        raise ConfigurationError(f"--clients {text}: numbers from 1 to 1000, such as 1,2,4")
    return tuple(sorted({int(part) for part in parts}))


def asked(given: argparse.Namespace) -> tuple[tuple[int, ...], int, float]:
    """Return numbers of clients, load periods of each, and seconds of one, all filled in."""
    usual, runs, seconds = DEFAULTS[given.server]
    clients = usual if given.clients is None else numbers(given.clients)
    runs = runs if given.runs is None else given.runs
    seconds = seconds if given.seconds is None else given.seconds
    if not 3 <= runs <= 10_000:
        raise ConfigurationError(f"--runs {runs}: a third is held out, so 3 to 10000")
    if not 0 < seconds <= 3600:
        raise ConfigurationError(f"--seconds {seconds}: more than 0, at most 3600")
    return clients, runs, seconds


def measure(given: argparse.Namespace, seed: int) -> pd.DataFrame:
    """Return the contention profile of the server."""
    clients, runs, run_s = asked(given)
    if given.server == "modelled":
        device = device_profile("titan-xp")
        graphs = [published_graph(model) for model in MODELS]
        tables = [layer_table(graph).assign(idle_s=device.layer_times(graph)) for graph in graphs]
        return profile_modelled(tables, clients, run_s=run_s, runs=runs, seed=seed)
    least_s = len(clients) * runs * run_s + IDLE_S
    say(f"takes at least {least_s:.0f} s, and PyTorch is loaded {max(clients) + 1} times")
    on: Accelerator = "cuda" if given.server == "cuda" else "cpu"
    return profile_real(MODELS, clients, run_s=run_s, runs=runs, accelerator=on, seed=seed, say=say)


def calculate(calculation: Calculation) -> Findings:
    """Profile, learn and test."""
    given, seed = calculation.given, calculation.settings.seed
    asked(given)
    if given.out is not None:
        _ = calculation.folder
    started_s = time.monotonic()
    profile = measure(given, seed)
    say(f"{profile['request'].nunique()} queries timed in {time.monotonic() - started_s:.0f} s")
    folder = calculation.folder
    profile.to_parquet(folder.path / "dataset.parquet", index=False)
    found = evaluate(profile, SERVERS, seed, say)
    kept = {}
    for name, table in found._asdict().items():
        table.to_csv(folder.path / f"{name}.csv", index=False)
        kept[name] = json.loads(table.to_json(orient="records"))
    convolution = found.mae[(found.mae["held_out"] == "runs") & (found.mae["of"] == CONVOLUTION)]
    drawn = by_clients(convolution)[[*PAPERS, KEPT]] * 1e6
    draw_estimators(folder.figures, drawn, found.importances, LOAD, given.server)
    return Findings(kept.pop("mae"), shown(given.server, found), more=kept)


def by_clients(mae: pd.DataFrame) -> pd.DataFrame:
    """Return seconds, estimators by columns, numbers of clients by rows."""
    rows = mae[mae["clients"].notna()]
    return rows.pivot(index="clients", columns="estimator", values="mae_s")[[*ESTIMATORS]]


def shown(server: str, found: Evaluation) -> Iterator[str | Table]:
    """Yield everything for people."""
    mae, times = found.mae, found.times
    assumed = ", whose parameters are assumptions" if server == "modelled" else ""
    yield f"Mean absolute errors at the {server} server{assumed}, by number of clients"
    for held_out, of, unit, scale in (
        ("runs", CONVOLUTION, "µs", 1e6),
        ("runs", "all", "µs", 1e6),
        ("runs", "query", "ms", 1e3),
        ("layers", CONVOLUTION, "µs", 1e6),
    ):
        yield f"\n{OF[of]}, {unit}; {SPLITS[held_out]}"
        yield errors(mae[(mae["held_out"] == held_out) & (mae["of"] == of)], scale)
    yield compared(mae, found.importances)
    yield "\nImportance in the forest of convolutions: share of impurity, growth of held-out error"
    yield Table(
        (
            *(plain("feature"), plain("impurity", form=".3f")),
            Column("permutation, µs", lambda row: f"{row['permutation_s'] * 1e6:.1f}"),
        ),
        found.importances.to_dict("records"),
    )
    layers = f"{times['layer_times'].iloc[0]} layers: those of a model at {SERVERS} servers"
    yield f"\nTime on one core to fit, and for {layers}"
    yield Table(
        (
            *(plain("estimator"), plain("fit, s", "fit_s", ".2f")),
            Column("estimate, ms", lambda row: f"{row['estimate_s'] * 1e3:.2f}"),
        ),
        times.to_dict("records"),
    )


def compared(mae: pd.DataFrame, importances: pd.DataFrame) -> str:
    """Return what of the paper's Fig. 4 holds here."""
    convolution = mae[(mae["held_out"] == "runs") & (mae["of"] == CONVOLUTION)]
    ordered = by_clients(convolution)[[*PAPERS]].to_numpy()
    holds = int((ordered[:, :-1] > ordered[:, 1:]).all(axis=1).sum())
    load = importances.loc[importances["feature"].isin(LOAD), "impurity"].sum()
    return (
        f"\nThe paper's order for convolutions, {' > '.join(PAPERS)}, holds at {holds} of"
        f" {len(ordered)} numbers of\nclients; LL reaches {ordered[:, 0].max() * 1e6:.0f} µs"
        f" (the paper: about 800 µs). The statistics' share of\nimportance is {load:.2f}"
        " (the paper: more than the hyperparameters')."
    )


def errors(mae: pd.DataFrame, scale: float) -> Table:
    """Return one table of errors, numbers of clients by columns."""
    by_estimator = (by_clients(mae) * scale).T
    whole = mae[mae["clients"].isna()].set_index("estimator")
    columns = (
        plain("clients", "estimator"),
        *(plain(str(clients), clients, ".1f") for clients in by_estimator.columns),
        Column("all", lambda row: f"{whole.loc[row['estimator'], 'mae_s'] * scale:.1f}"),
        Column("bias", lambda row: f"{whole.loc[row['estimator'], 'bias_s'] * scale:+.1f}"),
    )
    return Table(columns, by_estimator.reset_index(names="estimator").to_dict("records"))


if __name__ == "__main__":
    main("fig4_estimators", calculate, reads=("seed",), options=options)
