"""Beyond the paper: offers by the probability of a visit, beside circles around a position.

    python experiments/visits_offers.py

The paper offers layers to all servers within r metres of the predicted position. The policy
`visits` offers them to the servers that a person visits within two intervals with at least some
probability, and renews an offer, which moves no bytes, while a visit within the time to live is at
least 0.5 % probable. Hit ratio: share of the changes of server that led to one that held the
layers. An offer of layers that were not there costs a transfer; a renewal costs a message.

    circles           the paper's: svr, r = 50, 60, ... 100 m, every interval anew
    circles, held     the same, and layers are held as `visits` does: at the server that was left
                      for the time to live, and where they are within 2 r. What of the gain is due
                      to holding, and not to prediction.
    visits, not held  by probability, but held no longer than the last offer lasts: what of the gain
                      is due to prediction alone
    visits            by probability, and held
    oracle            knows the next five intervals: nobody can have more hits, nor as many with
                      fewer transfers while layers are held only for a visit within these

Transfers take no time and the server that someone leaves has everything, as in the paper's ratios.
Means over splits of the people; nobody is in both halves of a split.
"""

import argparse
import math
from collections.abc import Iterator, Sequence

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import numpy as np
import pandas as pd
from _delivery import Row, deliver, deviation, gather, say, spread
from _mobility import Movements, add_interval, load, new_folder, parser

from testbed.analysis.mobility_figures import draw_offers, draw_reliability
from testbed.commands.output import print_table
from testbed.config import Migration
from testbed.errors import ConfigurationError
from testbed.exits import exit_with
from testbed.mobility.calibration import (
    Happened,
    Reliability,
    reliability,
    visit_forecasts,
)
from testbed.mobility.predictor import TRAJECTORY_LENGTH, FloatArray
from testbed.mobility.regression import LinearSvr
from testbed.mobility.visits import HORIZON, VisitPredictor
from testbed.movement import People
from testbed.policies import PerDnn, Policy, Situation, Visits
from testbed.simulation.offering import (
    Foreseen,
    Offering,
    foresee,
    known_visits,
    offer,
)
from traces.trace import TraceSet

NAME = "visits_offers"
Forecasts = tuple[FloatArray, Happened]
RADII_M = (50.0, 60.0, 70.0, 80.0, 90.0, 100.0)
PROBABILITIES = (0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03)
KEEP_PROBABILITY = 0.005  # down to which an offer is renewed
TARGET_SHARE, TARGET_GAIN = 0.75, 1.25
ORDER = {
    name: place
    for place, name in enumerate(
        ("circles", "circles, held", "visits, not held", "visits", "oracle")
    )
}
CERTAIN = Migration(offer_probability=1.0, keep_probability=1.0)


class HeldCircles(PerDnn):
    """Circles whose layers are held as `Visits` holds them."""

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers in the circle, those in a wider one that hold, and the current one."""
        near = situation.around(self.settings.radius_m)
        wider = situation.around(2 * self.settings.radius_m)
        held = [server for server in wider if situation.holds(server)]
        return list(dict.fromkeys([situation.current, *near, *held]))


class NotHeld(Visits):
    """Offers by one probability, whether layers are there or not; none to the current server."""

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers that are probable enough."""
        least = self.settings.offer_probability
        return [
            server
            for server, probability in situation.visits().items()
            if probability[-1] >= least and server != situation.current
        ]


def main() -> int:
    """Fit, walk, count, print."""
    given = parser_of_offers().parse_args()
    movements = load(given)
    folder = new_folder(given, NAME, movements)
    walked, status = gather(measure(movements))
    if not walked:
        return status
    splits = pd.DataFrame([row for rows, _ in walked for row in rows])
    splits.to_csv(folder.path / "splits.csv", index=False)
    calibration = [
        reliability(*map(np.concatenate, zip(*forecasts, strict=True)))
        for forecasts in zip(*(forecasts for _, forecasts in walked), strict=True)
    ]
    curves = summarise(splits)
    choices, oracle = curves[curves["choice"] != "oracle"], curves[curves["choice"] == "oracle"]
    best = oracle.iloc[0]
    figures = (
        draw_offers(folder.figures, choices, (best["transfers_per_handover"], best["hit_ratio"])),
        draw_reliability(folder.figures, calibration, movements.settings.traces.interval_s),
    )
    rows = curves.to_dict("records")
    deliver(folder, rows, given.json, reliability=reliability_rows(calibration))
    if not given.json:
        report(curves, calibration, movements)
    say(f"figures: {', '.join(map(str, figures))}")
    say(f"files: {folder.path}")
    return status


def parser_of_offers() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = parser(__doc__, NAME)
    add_interval(made)
    return made


def measure(movements: Movements) -> Iterator[tuple[list[Row], list[Forecasts]]]:
    """Yield of each split a row a choice of servers, and the forecasts within 1, 2, ... intervals.

    Raises:
        ConfigurationError: nobody who is tested changes server.
    """
    people = movements.people()
    for number, (training, testing) in enumerate(movements.split(people)):
        say(f"split {number + 1} of {movements.splits}: training")
        circles, visits = predicted(people, training, testing, movements)
        if not any((np.diff(each.attached) != 0).any() for each in visits):
            raise ConfigurationError(
                f"nobody of those tested changes server in {movements.name}, so there is no hit"
                " ratio; take other traces, more people or smaller cells"
            )
        say(f"split {number + 1} of {movements.splits}: walking")
        rows = [
            {"split": number, "choice": choice, "parameter": parameter}
            | figures_of(offer(policy, foreseen, people.access_points))
            for choice, parameter, policy, foreseen in choices(circles, visits)
        ]
        yield rows, [forecasts(visits, intervals) for intervals in range(1, HORIZON + 1)]


def forecasts(visits: list[Foreseen], intervals: int) -> Forecasts:
    """Return probabilities of visits within some intervals, and whether they happened."""
    each = [visit_forecasts(path.candidates, path.attached, intervals) for path in visits]
    probability, happened = zip(*each, strict=True)
    return np.concatenate(probability), np.concatenate(happened)


def predicted(
    people: People, training: TraceSet, testing: TraceSet, movements: Movements
) -> tuple[list[Foreseen], list[Foreseen]]:
    """Return what the SVR and the visit predictor say of those tested."""
    n = movements.settings.migration.trajectory_length
    found = []
    for predictor in (LinearSvr(max(n, TRAJECTORY_LENGTH)), VisitPredictor(n)):
        predictor.fit(training.positions_m, people.servers_m)
        found.append(foresee(predictor, testing.positions_m, people.servers_m))
    return found[0], found[1]


def choices(
    circles: list[Foreseen], visits: list[Foreseen]
) -> Iterator[tuple[str, float, Policy, list[Foreseen]]]:
    """Yield all ways to choose servers: name, radius or probability, policy, and predictions."""
    for radius_m in RADII_M:
        yield "circles", radius_m, PerDnn(Migration(radius_m=radius_m)), circles
    for radius_m in RADII_M:
        yield "circles, held", radius_m, HeldCircles(Migration(radius_m=radius_m)), circles
    for probability in PROBABILITIES:
        by_probability = Migration(offer_probability=probability, keep_probability=KEEP_PROBABILITY)
        yield "visits, not held", probability, NotHeld(by_probability), visits
        yield "visits", probability, Visits(by_probability), visits
    known = [known_visits(each, HORIZON) for each in visits]
    yield "oracle", 1.0, Visits(CERTAIN), known


def figures_of(came: Offering) -> Row:
    """Return the figures of one walk."""
    return {
        "handovers": came.handovers,
        "hit_ratio": came.hit_ratio,
        "transfers": came.transfers,
        "renewals": came.renewals,
        "transfers_per_handover": came.transfers_per_handover,
        "offers_per_prediction": (came.transfers + came.renewals) / came.predictions,
    }


def summarise(splits: pd.DataFrame) -> pd.DataFrame:
    """Return means over the splits, in the order of the choices, and the hit ratio's deviation."""
    groups = splits.groupby(["choice", "parameter"], sort=False)
    means = groups.mean().drop(columns="split")
    means["hit_ratio_sd"] = groups["hit_ratio"].agg(deviation)
    return means.reset_index().sort_values(
        "choice", kind="stable", key=lambda each: each.map(ORDER)
    )


def reliability_rows(calibration: list[Reliability]) -> list[Row]:
    """Return the reliability within 1, 2, ... intervals, ready for JSON."""
    return [
        {
            "intervals": intervals,
            "brier": each.brier,
            "brier_base": each.brier_base,
            "calibration_error": each.calibration_error,
            "forecast": each.forecast.tolist(),
            "observed": each.observed.tolist(),
            "count": each.count.tolist(),
        }
        for intervals, each in enumerate(calibration, start=1)
    ]


def report(curves: pd.DataFrame, calibration: list[Reliability], movements: Movements) -> None:
    """Print curves, targets and reliability for people."""
    print(f"Offers and hits on {movements.name}, means of {movements.splits} split(s)")
    print_table(
        ("choice", "r or p", "hit ratio, %", "transfers", "renewals", "per handover"),
        [
            (
                row.choice,
                f"{row.parameter:g}",
                spread(row.hit_ratio, row.hit_ratio_sd, 100),
                round(row.transfers),
                round(row.renewals),
                f"{row.transfers_per_handover:.2f}",
            )
            for row in curves.itertuples()
        ],
    )
    compare(curves)
    print("\nReliability of the probabilities of a visit, the server that someone is at left out")
    print_table(
        ("within", "Brier score", "of the base rate", "skill", "calibration error"),
        [
            (
                f"{intervals} intervals",
                f"{each.brier:.4f}",
                f"{each.brier_base:.4f}",
                f"{each.brier_skill:.2f}",
                f"{each.calibration_error:.4f}",
            )
            for intervals, each in enumerate(calibration, start=1)
        ],
    )


def compare(curves: pd.DataFrame) -> None:
    """Say what equal hits cost, and what equal transfers bring, beside the circles."""
    by_choice = dict(list(curves.groupby("choice")))
    circles = by_choice["circles"].set_index("parameter")
    wide, narrow = circles.loc[max(RADII_M)], circles.loc[min(RADII_M)]
    print(
        f"\nThe hit ratio of r = {max(RADII_M):g} m, {wide.hit_ratio:.3f}, costs there"
        f" {wide.transfers:.0f} transfers and {wide.renewals:.0f} renewals;\nwith the"
        f" {narrow.transfers:.0f} transfers of r = {min(RADII_M):g} m it is"
        f" {narrow.hit_ratio:.3f} there. Between the points of each line:"
    )
    for choice in ("circles, held", "visits, not held", "visits"):
        points = by_choice[choice].sort_values("transfers")
        cost = interpolate(wide.hit_ratio, points["hit_ratio"], points["transfers"])
        gain = interpolate(narrow.transfers, points["transfers"], points["hit_ratio"])
        print(
            f"  {choice:17} {cost:6.0f} transfers, {cost / wide.transfers:.2f} times"
            f" (target {TARGET_SHARE});  hit ratio {gain:.3f}, {gain / narrow.hit_ratio:.2f} times"
            f" (target {TARGET_GAIN})"
        )


def interpolate(wanted: float, known: pd.Series, values: pd.Series) -> float:
    """Return the value at a known figure between two points; NaN beyond a line's ends."""
    return float(np.interp(wanted, known, values, left=math.nan, right=math.nan))


if __name__ == "__main__":
    exit_with(main)
