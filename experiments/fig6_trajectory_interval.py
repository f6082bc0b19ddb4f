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
from _delivery import Row, deliver, gather, say
from _mobility import Movements, load, new_folder, on_campus, parser
from paper import FIG6_ALL_INTERVALS_S, FIG6_BEST_INTERVAL_S, FIG6_INTERVALS_S, FIG6_LENGTHS

from testbed.analysis.mobility_figures import draw_intervals
from testbed.commands.output import print_table
from testbed.errors import ConfigurationError
from testbed.exits import exit_with
from testbed.mobility.accuracy import Trial, try_out
from testbed.mobility.regression import LinearSvr
from testbed.movement import People
from traces.trace import TraceSet

NAME = "fig6_trajectory_interval"
SAMPLED_S = 5.0  # where movement is made, not recorded: Geolife has a sample every 1 to 5 s


def main() -> int:
    """Measure, draw, print."""
    given = parser(__doc__, NAME).parse_args()
    movements = load_fine(given)
    folder = new_folder(given, NAME, movements)
    measured, status = gather(measure(movements))
    if not measured:
        return status
    by_length = means([row for rows, _ in measured for row in rows], ["interval_s", "n"])
    by_interval = means([row for _, rows in measured for row in rows], ["interval_s"])
    best_s = float(by_interval.loc[by_interval["benefit_to_cost"].idxmax(), "interval_s"])
    figure = draw_intervals(folder.figures, by_length, by_interval, best_s, movements.name)
    rows: list[Row] = by_interval.to_dict("records")
    deliver(folder, rows, given.json, by_length=by_length.to_dict("records"))
    if not given.json:
        report(by_length, by_interval, best_s, movements)
    say(f"figure: {figure}")
    say(f"files: {folder.path}")
    return status


def load_fine(given: argparse.Namespace) -> Movements:
    """Return traces that are sampled often enough: those named, or the synthetic campus.

    Raises:
        ConfigurationError: the traces that are named are not.
    """
    shortest_s = min(FIG6_ALL_INTERVALS_S)
    movements = load(given, SAMPLED_S)
    recorded_s = movements.recording.interval_s
    if recorded_s <= shortest_s:
        return movements
    if given.traces is not None:
        raise ConfigurationError(
            f"{given.traces}: has a sample every {recorded_s:g} s; this needs one every"
            f" {shortest_s:g} s or more often"
        )
    say(
        f"{movements.name} has a sample every {recorded_s:g} s, too few for intervals from"
        f" {shortest_s:g} s on: this is the synthetic campus; name others with --traces"
    )
    return on_campus(given, SAMPLED_S)


def measure(movements: Movements) -> Iterator[tuple[list[Row], list[Row]]]:
    """Yield of each interval, a row a split: errors by n, and all figures at the settings' n."""
    n = movements.settings.migration.trajectory_length
    for interval_s in FIG6_ALL_INTERVALS_S:
        say(f"interval of {interval_s:g} s")
        people = movements.people(interval_s)
        by_length: list[Row] = []
        by_interval: list[Row] = []
        for training, testing in movements.split(people):
            for length in FIG6_LENGTHS if interval_s in FIG6_INTERVALS_S else ():
                error_m = trial_of(length, people, training, testing).error_m.mean()
                by_length.append({"interval_s": interval_s, "n": length, "mae_m": float(error_m)})
            figures = figures_of(trial_of(n, people, training, testing))
            by_interval.append({"interval_s": interval_s} | figures)
        yield by_length, by_interval


def means(rows: list[Row], by: list[str]) -> pd.DataFrame:
    """Return the means over the splits."""
    return pd.DataFrame(rows).groupby(by, as_index=False).mean()


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


def report(
    by_length: pd.DataFrame, by_interval: pd.DataFrame, best_s: float, movements: Movements
) -> None:
    """Print both halves of the figure for people."""
    print(f"Fig. 6 on {movements.name}, means of {movements.splits} split(s): error, m, by n")
    table = by_length.pivot(index="interval_s", columns="n", values="mae_m")
    print_table(
        ("t, s", *(f"n = {n}" for n in table.columns)),
        [
            (f"{t:g}", *(f"{error:.1f}" for error in row))
            for t, row in zip(table.index, table.to_numpy(), strict=True)
        ],
    )
    print()
    print_table(
        ("t, s", "error, m", "futile, %", "a, %", "top 2, %", "benefit to cost"),
        [
            (
                f"{row.interval_s:g}",
                f"{row.mae_m:.1f}",
                f"{100 * row.futile_share:.1f}",
                f"{100 * row.accuracy:.1f}",
                f"{100 * row.top2:.1f}",
                f"{row.benefit_to_cost:.4f}",
            )
            for row in by_interval.itertuples()
        ],
    )
    print(
        f"The best interval is {best_s:g} s (the paper's, on Geolife: {FIG6_BEST_INTERVAL_S:g} s)."
    )


if __name__ == "__main__":
    exit_with(main)
