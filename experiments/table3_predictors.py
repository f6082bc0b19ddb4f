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

from testbed.analysis.figures.mobility_figures import draw_errors
from testbed.decision.policies import build_predictor
from testbed.errors import ConfigurationError
from testbed.mobility.accuracy import try_out
from testbed.mobility.predictors import PREDICTORS, find_predictor
from testbed.plugins import own_settings
from testbed.settings.experiment import Experiment, changed
from testbed.settings.options import Parser, with_options
from testbed.studies import paper
from testbed.studies.findings import Column, Findings, Row, Table, means, plain, say, spread_of
from testbed.studies.study import PREDICTIONS, Context, Study, main

DEFAULT = ("markov", "svr", "rnn", "stay", "velocity", "ridge", "visits")
FIGURES = ("top1", "top2", "mae_m", "non_futile_share", "n_test")


def options(command_line: Parser) -> None:
    """Add which predictors are tried."""
    usual = ",".join(DEFAULT)
    text = f"(default: %(default)s) of {', '.join(PREDICTORS)} or package.module:Class"
    command_line.add_argument("--predictors", default=usual, metavar="NAME,NAME,...", help=text)


def names_of(given: argparse.Namespace) -> list[str]:
    """Return the predictors that were asked for, each once."""
    return list(dict.fromkeys(given.predictors.split(",")))


def check(given: argparse.Namespace) -> None:
    """Refuse predictors that there are not, and settings that none of them has."""
    own = with_options(EXPERIMENT, given).predictor
    fields = {name: own_fields(name) for name in names_of(given)}
    for setting in own.keys() - {field for known in fields.values() for field in known}:
        raise ConfigurationError(
            f"predictor.{setting}: none of {given.predictors} has such a setting"
        )
    for name, known in fields.items():
        values = {setting: own[setting] for setting in own if setting in known}
        own_settings("predictor", name, find_predictor(name).Settings, values)


def own_fields(name: str) -> tuple[str, ...]:
    """Return the settings that a predictor has of its own."""
    return find_predictor(name).Settings.__struct_fields__


def with_predictor(context: Context, name: str) -> Experiment:
    """Return the settings with a predictor; an LSTM of the data set's size where none is set."""
    own = {"units": context.movements.lstm_units} | context.settings.predictor
    changes = {f"predictor.{field}": own[field] for field in own_fields(name) if field in own}
    return changed(context.settings, {"migration.predictor": name} | changes)


def measure(context: Context) -> Iterator[Row]:
    """Yield the accuracy of each predictor in each split, and keep the trials of the first."""
    movements = context.movements
    people = movements.people()
    for number, (training, testing) in enumerate(movements.split(people)):
        for name in names_of(context.given):
            say(f"split {number + 1} of {movements.splits}: {name}")
            predictor = build_predictor(with_predictor(context, name))
            predictor.fit(training.positions_m, people.servers_m)
            trial = try_out(predictor, testing.positions_m, people.servers_m)
            if number == 0:
                context.extra[name] = trial
            yield {"split": number, "predictor": name} | asdict(trial.accuracy())


def conclude(context: Context, splits: pd.DataFrame) -> Findings:
    """Return mean and standard deviation of each predictor's figures, and the paper's."""
    rows = []
    for name, figures in splits.groupby("predictor", sort=False):
        row: Row = {"dataset": context.movements.name, "predictor": name, "splits": len(figures)}
        row |= means(figures, FIGURES)
        reported = paper.TABLE_3.get(context.movements.name, {}).get(str(name))
        row["paper"] = reported and {
            "top1": reported.top1 / 100,
            "top2": reported.top2 / 100,
            "mae_m": reported.mae_m,
        }
        rows.append(row)
    figure = draw_errors(context.folder.figures, context.extra, context.movements.interval_s)
    first = rows[0]
    title = (
        f"Table III on {context.movements.name}: {first['splits']} split(s) of the people,"
        f" n = {context.settings.migration.trajectory_length},"
        f" t = {context.movements.interval_s:g} s,\n{first['n_test']:,.0f} predictions"
        f" each, {1 - first['non_futile_share']:.1%} of them futile"
    )
    columns = (
        plain("predictor"),
        *(spread_of("top 1, %", "top1", 100), of_paper("top1", 100)),
        *(spread_of("top 2, %", "top2", 100), of_paper("top2", 100)),
        *(spread_of("error, m", "mae_m"), of_paper("mae_m", 1)),
    )
    return Findings(rows, [title, Table(columns, rows)], [figure])


def of_paper(figure: str, scale: float) -> Column:
    """Show the paper's figure, if it has one."""

    def cell(row: Row) -> str:
        value = (row["paper"] or {}).get(figure)
        return "" if value is None else f"{value * scale:.1f}"

    return Column("paper", cell)


EXPERIMENT = Experiment(name="table3_predictors")
STUDY = Study(
    EXPERIMENT, measure, conclude, reads=(*PREDICTIONS, "predictor."), options=options, check=check
)

if __name__ == "__main__":
    main(STUDY)
