"""Fig. 6: how many positions a prediction needs, and how often to predict (section III.D).

    python experiments/fig6_trajectory_interval.py
    python experiments/fig6_trajectory_interval.py --traces Data      # Geolife's, as in the paper

Errors of a linear SVR by trajectory length n and by interval t. A prediction is futile if the
server does not change within the interval. Benefit to cost is a (p - f) / p (the paper's equations
1 and 2): of p predictions f are futile, and of the others the share a is right, that is, the
predicted position lies within 50 m of the next server.

The traces need a sample every 15 s or more often: KAIST's, one every 30 s, do not serve, and the
synthetic campus is used where no others are named.
"""

import argparse
import math
from collections.abc import Iterator

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import numpy as np
import pandas as pd

from testbed.analysis.figures.mobility_figures import draw_intervals
from testbed.errors import ConfigurationError
from testbed.mobility.accuracy import Trial, try_out
from testbed.mobility.regression import LinearSvr
from testbed.movement import People
from testbed.settings.experiment import Experiment
from testbed.studies import paper
from testbed.studies.findings import Findings, Row, Table, percent, plain, say
from testbed.studies.movements import Movements, load, on_campus
from testbed.studies.study import PREDICTIONS, Context, Study, main
from traces.trace import TraceSet

SAMPLED_S = 5.0  # where movement is made, not recorded: Geolife has a sample every 1 to 5 s
BY_LENGTH = "n"


def load_fine(experiment: Experiment, given: argparse.Namespace) -> Movements:
    """Return traces that are sampled often enough: those named, or the synthetic campus.

    Raise ConfigurationError if the traces that are named are not.
    """
    shortest_s = min(paper.FIG6_ALL_INTERVALS_S)
    movements = load(experiment, given, SAMPLED_S)
    recorded_s = movements.recording.interval_s
    if recorded_s <= shortest_s:
        return movements
    if (path := movements.settings.traces.path) is not None:
        raise ConfigurationError(
            f"{path}: has a sample every {recorded_s:g} s; this needs one every {shortest_s:g} s or"
            " more often"
        )
    say(
        f"{movements.name} has a sample every {recorded_s:g} s, too few for intervals from"
        f" {shortest_s:g} s on: this is the synthetic campus; name others with --traces"
    )
    return on_campus(experiment, given, SAMPLED_S)


def measure(context: Context) -> Iterator[Row]:
    """Yield for each interval and split the errors by n, and all figures at the settings' n."""
    movements, n = context.movements, context.settings.migration.trajectory_length
    for interval_s in paper.FIG6_ALL_INTERVALS_S:
        say(f"interval of {interval_s:g} s")
        people = movements.people(interval_s)
        rows: list[Row] = []
        for training, testing in movements.split(people):
            for length in paper.FIG6_LENGTHS if interval_s in paper.FIG6_INTERVALS_S else ():
                error_m = trial_of(length, people, training, testing).error_m.mean()
                rows.append({BY_LENGTH: length, "mae_m": float(error_m)})
            rows.append(figures_of(trial_of(n, people, training, testing)))
        yield from ({"interval_s": interval_s} | row for row in rows)


def trial_of(n: int, people: People, training: TraceSet, testing: TraceSet) -> Trial:
    """Fit a linear SVR that reads n positions, and try it out."""
    predictor = LinearSvr(n)
    predictor.fit(training.positions_m, people.servers_m)
    return try_out(predictor, testing.positions_m, people.servers_m)


def figures_of(trial: Trial) -> Row:
    """Return error, futile share, accuracy and benefit to cost of a trial."""
    accuracy = trial.accuracy()
    right = float(trial.in_range[trial.moved].mean()) if trial.moved.any() else math.nan
    return {
        "mae_m": accuracy.mae_m,
        "futile_share": accuracy.futile_share,
        "accuracy": right,
        "top2": accuracy.top2,
        "benefit_to_cost": np.nan_to_num(right) * accuracy.non_futile_share,
        "n_test": accuracy.n_test,
    }


def conclude(context: Context, measured: pd.DataFrame) -> Findings:
    """Return the means over the splits, by interval and by length."""
    of_lengths = measured[BY_LENGTH].notna()
    by_length = measured.loc[of_lengths, ["interval_s", BY_LENGTH, "mae_m"]]
    by_length = by_length.astype({BY_LENGTH: int})
    by_length = by_length.groupby(["interval_s", BY_LENGTH], as_index=False).mean()
    by_interval = measured[~of_lengths].drop(columns=BY_LENGTH)
    by_interval = by_interval.groupby("interval_s", as_index=False).mean()
    best_s = float(by_interval.loc[by_interval["benefit_to_cost"].idxmax(), "interval_s"])
    name = context.movements.name
    figure = draw_intervals(context.folder.figures, by_length, by_interval, best_s, name)
    table = by_length.pivot(index="interval_s", columns=BY_LENGTH, values="mae_m").reset_index()
    rows: list[Row] = by_interval.to_dict("records")
    interval = plain("t, s", "interval_s", "g")
    figures = (
        *(plain("error, m", "mae_m", ".1f"), percent("futile, %", "futile_share")),
        *(percent("a, %", "accuracy"), percent("top 2, %", "top2")),
        plain("benefit to cost", "benefit_to_cost", ".4f"),
    )
    lengths = (plain(f"n = {n}", n, ".1f") for n in table.columns[1:])
    shown: list[str | Table] = [
        f"Fig. 6 on {name}, means of {context.movements.splits} split(s): error, m, by n",
        Table((interval, *lengths), table.to_dict("records")),
        "",
        Table((interval, *figures), rows),
        f"The best interval is {best_s:g} s (the paper's, on Geolife:"
        f" {paper.FIG6_BEST_INTERVAL_S:g} s).",
    ]
    return Findings(rows, shown, [figure], {"by_length": by_length.to_dict("records")})


EXPERIMENT = Experiment(name="fig6_trajectory_interval")
STUDY = Study(EXPERIMENT, measure, conclude, reads=PREDICTIONS, load=load_fine)

if __name__ == "__main__":
    main(STUDY)
