"""Table III: how well predictors of movement know the next edge server (section IV.B.2).

    python experiments/table3_predictors.py
    python experiments/table3_predictors.py --traces Data      # Geolife's, where they are

Top 1 and top 2 count predictions just before a change of server (the others are futile): whether
the server that was visited was the first, or one of the first two. For predictors of positions
these are the nearest to the predicted position; the one that someone is at counts, which is why top
1 is low. The error is the mean Euclidean distance over all predictions, which the paper calls MAE;
that of a Markov model is to the place of its server. Means over splits of the people, with standard
deviations; nobody is in both halves of a split.

markov, svr and rnn are the paper's; stay, velocity and ridge are baselines; svr-polynomial and
svr-rbf are the kernels that the paper rejected; visits gives each server a probability of its own.
"""

import argparse
import math
from dataclasses import asdict
from typing import Any

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import numpy as np
import pandas as pd
import paper
from _delivery import Row, deliver, say
from _mobility import Movements, add_interval, load, new_folder, parser

from testbed.analysis.mobility_figures import draw_errors
from testbed.commands.output import print_table
from testbed.errors import EXIT_COMPLETE
from testbed.experiment import exit_with
from testbed.mobility.accuracy import Trial, try_out
from testbed.mobility.predictor import Predictor
from testbed.mobility.predictors import PREDICTORS, find_predictor

NAME = "table3_predictors"
DEFAULT = ("markov", "svr", "rnn", "stay", "velocity", "ridge", "visits")
FIGURES = ("top1", "top2", "mae_m", "non_futile_share", "n_test")


def main() -> int:
    """Fit, try out, print."""
    given = ask()
    names = given.predictors.split(",")
    for name in names:
        find_predictor(name)
    movements = load(given)
    folder = new_folder(given, NAME, movements)
    splits, trials = measure(movements, names)
    splits.to_csv(folder.path / "splits.csv", index=False)
    rows = summarise(splits, movements.name)
    deliver(folder, rows, given.json)
    figure = draw_errors(folder.figures, trials, movements.settings.traces.interval_s)
    if not given.json:
        report(rows, movements)
    say(f"figure: {figure}")
    say(f"files: {folder.path}")
    return EXIT_COMPLETE


def ask() -> argparse.Namespace:
    """Return the command line's settings."""
    made = parser(__doc__, NAME)
    add_interval(made)
    made.add_argument(
        "--predictors",
        default=",".join(DEFAULT),
        metavar="NAME,NAME,...",
        help=f"(default: %(default)s) of {', '.join(PREDICTORS)} or package.module:Class",
    )
    return made.parse_args()


def measure(movements: Movements, names: list[str]) -> tuple[pd.DataFrame, dict[str, Trial]]:
    """Return a row for each split and predictor, and the trials of the first split."""
    people = movements.people()
    rows: list[Row] = []
    trials: dict[str, Trial] = {}
    for number, (training, testing) in enumerate(movements.split(people)):
        for name in names:
            say(f"split {number + 1} of {movements.splits}: {name}")
            predictor = build(name, movements)
            predictor.fit(training.positions_m, people.servers_m)
            trial = try_out(predictor, testing.positions_m, people.servers_m)
            trials.setdefault(name, trial)
            accuracy = asdict(trial.accuracy())
            rows.append({"split": number, "predictor": name} | accuracy)
    return pd.DataFrame(rows), trials


def build(name: str, movements: Movements) -> Predictor:
    """Return a predictor that has learnt nothing yet; an LSTM of the data set's size."""
    n = movements.settings.migration.trajectory_length
    if name == "rnn":
        from testbed.mobility.recurrent import Lstm

        return Lstm(n, movements.lstm_units)
    return find_predictor(name)(n)


def summarise(splits: pd.DataFrame, dataset: str) -> list[Row]:
    """Return mean and standard deviation of each predictor's figures, ready for JSON.

    Shares lie between 0 and 1. `paper` holds the paper's figures, in its units.
    """
    rows = []
    for name, figures in splits.groupby("predictor", sort=False):
        row: Row = {"dataset": dataset, "predictor": name, "splits": len(figures)}
        for figure in FIGURES:
            row[figure] = number(figures[figure].mean())
            row[f"{figure}_sd"] = number(figures[figure].std(ddof=0))
        reported = paper.TABLE_3.get(dataset, {}).get(str(name))
        row["paper"] = reported._asdict() if reported else None
        rows.append(row)
    return rows


def number(value: Any) -> float | None:
    """Return a number as JSON has them: none for NaN."""
    return None if math.isnan(value) else float(value)


def report(rows: list[Row], movements: Movements) -> None:
    """Print the table for people."""
    first = rows[0]
    print(
        f"Table III on {movements.name}: {movements.splits} splits,"
        f" n = {movements.settings.migration.trajectory_length},"
        f" t = {movements.settings.traces.interval_s:g} s, {first['n_test']:,.0f} predictions a"
        f" split,\n{1 - first['non_futile_share']:.1%} of them futile"
    )
    print_table(
        ("predictor", "top 1, %", "paper", "top 2, %", "paper", "error, m", "paper"),
        [
            (
                row["predictor"],
                spread(row, "top1", 100),
                reported(row, "top1"),
                spread(row, "top2", 100),
                reported(row, "top2"),
                spread(row, "mae_m", 1),
                reported(row, "mae_m"),
            )
            for row in rows
        ],
    )


def spread(row: Row, figure: str, scale: float) -> str:
    """Return "12.3 ± 0.4"."""
    if row[figure] is None:
        return "-"
    return f"{row[figure] * scale:.1f} ± {np.nan_to_num(row[f'{figure}_sd']) * scale:.1f}"


def reported(row: Row, figure: str) -> str:
    """Return the paper's figure, if it has one."""
    value = (row["paper"] or {}).get(figure)
    return "" if value is None else f"{value:g}"


if __name__ == "__main__":
    exit_with(main)
