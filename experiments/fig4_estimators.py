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
from pathlib import Path

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import pandas as pd
from _delivery import say

from testbed.analysis.estimator_figures import draw_estimators
from testbed.commands.output import add_json, print_json, print_table
from testbed.dnn.devices import device_profile
from testbed.dnn.published import MODELS, published_graph
from testbed.errors import EXIT_COMPLETE, ConfigurationError
from testbed.exits import exit_with
from testbed.gpu.contention import LOAD, layer_table, profile_modelled
from testbed.gpu.contention_host import IDLE_S, profile_real
from testbed.gpu.evaluation import (
    CONVOLUTION,
    ESTIMATORS,
    KEPT,
    PAPERS,
    Evaluation,
    evaluate,
)
from testbed.runfolder import RunFolder

NAME = "fig4_estimators"
SERVERS = 10  # for which execution times are estimated at once
DEFAULTS = {  # numbers of clients, load periods of each, seconds of a load period
    "modelled": ((1, 2, 4, 8, 16), 30, 4.0),
    "host": ((1, 2, 3, 4, 6), 10, 1.5),
    "cuda": ((1, 2, 4, 8, 16), 10, 2.5),
}
SPLITS = {"runs": "held-out load periods", "layers": "held-out layers, not measured idle either"}
OF = {CONVOLUTION: "Convolution layers", "all": "All layers", "query": "Whole queries"}


def main() -> int:
    """Profile, learn, test, print."""
    given = ask()
    folder = RunFolder.at(given.out) if given.out is not None else None
    started_s = time.monotonic()
    profile = measure(given)
    say(f"{profile['request'].nunique()} queries timed in {time.monotonic() - started_s:.0f} s")
    if folder is None:
        results = Path(__file__).resolve().parents[1] / "results"
        folder = RunFolder.create(results, NAME, given.seed)
    asked = {key: value for key, value in vars(given).items() if key not in ("out", "json")}
    folder.write_json("config", {"name": NAME, **asked})
    profile.to_parquet(folder.path / "dataset.parquet", index=False)
    found = evaluate(profile, SERVERS, given.seed, say)
    for name, table in found._asdict().items():
        table.to_csv(folder.path / f"{name}.csv", index=False)
    convolution = found.mae[(found.mae["held_out"] == "runs") & (found.mae["of"] == CONVOLUTION)]
    shown = by_clients(convolution)[[*PAPERS, KEPT]] * 1e6
    draw_estimators(folder.figures, shown, found.importances, LOAD, given.server)
    if given.json:
        content = {"rows": found.mae, "importances": found.importances, "times": found.times}
        print_json(
            {key: json.loads(each.to_json(orient="records")) for key, each in content.items()}
        )
    else:
        report(given.server, found)
    say(f"files: {folder.path}")
    return EXIT_COMPLETE


def ask() -> argparse.Namespace:
    """Return the command line's settings, all filled in."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--server", choices=DEFAULTS, default="modelled", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--clients", metavar="N,N,...", help="numbers of clients beside the timed one"
    )
    parser.add_argument("--runs", type=int, metavar="N", help="load periods of each, at least 3")
    parser.add_argument("--seconds", type=float, metavar="S", help="of a load period")
    parser.add_argument("--seed", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"(default: results/{NAME}/RUN-ID)")
    add_json(parser)
    given = parser.parse_args()
    clients, runs, seconds = DEFAULTS[given.server]
    given.clients = clients if given.clients is None else numbers(given.clients)
    given.runs = runs if given.runs is None else given.runs
    given.seconds = seconds if given.seconds is None else given.seconds
    if not 3 <= given.runs <= 10_000:
        raise ConfigurationError(f"--runs {given.runs}: a third is held out, so 3 to 10000")
    if not 0 < given.seconds <= 3600:
        raise ConfigurationError(f"--seconds {given.seconds}: more than 0, at most 3600")
    if given.seed < 0:
        raise ConfigurationError(f"--seed {given.seed}: at least 0")
    return given


def numbers(text: str) -> tuple[int, ...]:
    """Return "1,2,4" as numbers of clients."""
    parts = text.split(",")
    if not all(part.strip().isdecimal() and 0 < int(part) <= 1000 for part in parts):
        raise ConfigurationError(f"--clients {text}: numbers from 1 to 1000, such as 1,2,4")
    return tuple(sorted({int(part) for part in parts}))


def measure(given: argparse.Namespace) -> pd.DataFrame:
    """Return the contention profile of the server."""
    if given.server == "modelled":
        device = device_profile("titan-xp")
        graphs = [published_graph(model) for model in MODELS]
        tables = [layer_table(graph).assign(idle_s=device.layer_times(graph)) for graph in graphs]
        return profile_modelled(
            tables, given.clients, run_s=given.seconds, runs=given.runs, seed=given.seed
        )
    least_s = len(given.clients) * given.runs * given.seconds + IDLE_S
    say(f"takes at least {least_s:.0f} s, and PyTorch is loaded {max(given.clients) + 1} times")
    return profile_real(
        MODELS,
        given.clients,
        run_s=given.seconds,
        runs=given.runs,
        accelerator="cuda" if given.server == "cuda" else "cpu",
        seed=given.seed,
        say=say,
    )


def by_clients(mae: pd.DataFrame) -> pd.DataFrame:
    """Return seconds, estimators by columns, numbers of clients by rows."""
    rows = mae[mae["clients"].notna()]
    return rows.pivot(index="clients", columns="estimator", values="mae_s")[[*ESTIMATORS]]


def report(server: str, found: Evaluation) -> None:
    """Print everything for people."""
    mae, times = found.mae, found.times
    assumed = ", whose parameters are assumptions" if server == "modelled" else ""
    print(f"Mean absolute errors at the {server} server{assumed}, by number of clients")
    for held_out, of, unit, scale in (
        ("runs", CONVOLUTION, "µs", 1e6),
        ("runs", "all", "µs", 1e6),
        ("runs", "query", "ms", 1e3),
        ("layers", CONVOLUTION, "µs", 1e6),
    ):
        print(f"\n{OF[of]}, {unit}; {SPLITS[held_out]}")
        print_errors(mae[(mae["held_out"] == held_out) & (mae["of"] == of)], scale)
    compare(mae, found.importances)
    print("\nImportance in the forest of convolutions: share of impurity, growth of held-out error")
    print_table(
        ("feature", "impurity", "permutation, µs"),
        [
            (row.feature, f"{row.impurity:.3f}", f"{row.permutation_s * 1e6:.1f}")
            for row in found.importances.itertuples()
        ],
    )
    count = times["layer_times"].iloc[0]
    print(
        f"\nTime on one core to fit, and for {count} layers: those of a model at {SERVERS} servers"
    )
    print_table(
        ("estimator", "fit, s", "estimate, ms"),
        [
            (row.estimator, f"{row.fit_s:.2f}", f"{row.estimate_s * 1e3:.2f}")
            for row in times.itertuples()
        ],
    )


def compare(mae: pd.DataFrame, importances: pd.DataFrame) -> None:
    """Say what of the paper's Fig. 4 holds here."""
    convolution = mae[(mae["held_out"] == "runs") & (mae["of"] == CONVOLUTION)]
    ordered = by_clients(convolution)[[*PAPERS]].to_numpy()
    holds = int((ordered[:, :-1] > ordered[:, 1:]).all(axis=1).sum())
    load = importances.loc[importances["feature"].isin(LOAD), "impurity"].sum()
    print(
        f"\nThe paper's order for convolutions, {' > '.join(PAPERS)}, holds at {holds} of"
        f" {len(ordered)} numbers of\nclients; LL reaches {ordered[:, 0].max() * 1e6:.0f} µs"
        f" (the paper: about 800 µs). The statistics' share of\nimportance is {load:.2f}"
        " (the paper: more than the hyperparameters')."
    )


def print_errors(mae: pd.DataFrame, scale: float) -> None:
    """Print one table of errors, numbers of clients by columns."""
    shown = by_clients(mae) * scale
    whole = mae[mae["clients"].isna()].set_index("estimator")
    print_table(
        ("clients", *(str(clients) for clients in shown.index), "all", "bias"),
        [
            (
                name,
                *(f"{value:.1f}" for value in shown[name]),
                f"{whole.loc[name, 'mae_s'] * scale:.1f}",
                f"{whole.loc[name, 'bias_s'] * scale:+.1f}",
            )
            for name in ESTIMATORS
        ],
    )


if __name__ == "__main__":
    exit_with(main)
