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
from collections.abc import Iterator
from dataclasses import asdict

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import pandas as pd
import paper
from _delivery import Row, deliver, gather, means, say, spread
from _mobility import Movements, add_interval, load, new_folder, parser

from testbed.analysis.mobility_figures import draw_errors
from testbed.commands.output import print_table
from testbed.exits import exit_with
from testbed.mobility.accuracy import Trial, try_out
from testbed.mobility.predictor import Predictor
from testbed.mobility.predictors import PREDICTORS, find_predictor

NAME = "table3_predictors"
DEFAULT = ("markov", "svr", "rnn", "stay", "velocity", "ridge", "visits")
FIGURES = ("top1", "top2", "mae_m", "non_futile_share", "n_test")


def main() -> int:
    """Fit, try out, print."""
    given = ask()
    names = list(dict.fromkeys(given.predictors.split(",")))
    for name in names:
        find_predictor(name)
    movements = load(given)
    folder = new_folder(given, NAME, movements)
    tried, status = gather(measure(movements, names))
    if not tried:
        return status
    splits = pd.DataFrame(
        {"split": number, "predictor": name} | asdict(trial.accuracy())
        for number, name, trial in tried
    )
    splits.to_csv(folder.path / "splits.csv", index=False)
    rows = summarise(splits, movements.name)
    deliver(folder, rows, given.json)
    first = {name: trial for number, name, trial in tried if number == 0}
    figure = draw_errors(folder.figures, first, movements.settings.traces.interval_s)
    if not given.json:
        report(rows, movements)
    say(f"figure: {figure}")
    say(f"files: {folder.path}")
    return status


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


def measure(movements: Movements, names: list[str]) -> Iterator[tuple[int, str, Trial]]:
    """Yield split, predictor and its trial."""
    people = movements.people()
    for number, (training, testing) in enumerate(movements.split(people)):
        for name in names:
            say(f"split {number + 1} of {movements.splits}: {name}")
            predictor = build(name, movements)
            predictor.fit(training.positions_m, people.servers_m)
            yield number, name, try_out(predictor, testing.positions_m, people.servers_m)


def build(name: str, movements: Movements) -> Predictor:
    """Return a predictor that has learnt nothing yet; an LSTM of the data set's size."""
    n = movements.settings.migration.trajectory_length
    if name == "rnn":
        from testbed.mobility.recurrent import Lstm

        return Lstm(n, movements.lstm_units)
    return find_predictor(name)(n)


def summarise(splits: pd.DataFrame, dataset: str) -> list[Row]:
    """Return mean and standard deviation of each predictor's figures; shares lie between 0 and 1.

    `paper` holds the paper's.
    """
    rows = []
    for name, figures in splits.groupby("predictor", sort=False):
        row: Row = {"dataset": dataset, "predictor": name, "splits": len(figures)}
        row |= means(figures, FIGURES)
        reported = paper.TABLE_3.get(dataset, {}).get(str(name))
        row["paper"] = reported and {
            "top1": reported.top1 / 100,
            "top2": reported.top2 / 100,
            "mae_m": reported.mae_m,
        }
        rows.append(row)
    return rows


def report(rows: list[Row], movements: Movements) -> None:
    """Print the table for people."""
    first = rows[0]
    print(
        f"Table III on {movements.name}: {first['splits']} split(s) of the people,"
        f" n = {movements.settings.migration.trajectory_length},"
        f" t = {movements.settings.traces.interval_s:g} s,\n{first['n_test']:,.0f} predictions"
        f" each, {1 - first['non_futile_share']:.1%} of them futile"
    )
    print_table(
        ("predictor", "top 1, %", "paper", "top 2, %", "paper", "error, m", "paper"),
        [
            (
                row["predictor"],
                *(
                    cell
                    for figure, scale in (("top1", 100), ("top2", 100), ("mae_m", 1))
                    for cell in (
                        spread(row[figure], row[f"{figure}_sd"], scale),
                        reported(row, figure, scale),
                    )
                ),
            )
            for row in rows
        ],
    )


def reported(row: Row, figure: str, scale: float) -> str:
    """Return the paper's figure, if it has one."""
    value = (row["paper"] or {}).get(figure)
    return "" if value is None else f"{value * scale:.1f}"


if __name__ == "__main__":
    exit_with(main)
