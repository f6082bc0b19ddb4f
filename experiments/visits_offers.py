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

import math
from collections.abc import Iterator

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import numpy as np
import pandas as pd

from testbed.analysis.figures.mobility_figures import draw_offers, draw_reliability
from testbed.arrays import BoolArray, FloatArray
from testbed.decision.policies import PerDnn, Visits
from testbed.decision.policy import Policy
from testbed.errors import ConfigurationError
from testbed.mobility.calibration import Reliability, reliability, visit_forecasts
from testbed.mobility.predictor import TRAJECTORY_LENGTH
from testbed.mobility.regression import LinearSvr
from testbed.mobility.visits import HORIZON, VisitPredictor
from testbed.movement import People
from testbed.settings.experiment import Experiment, Migration
from testbed.simulation.offering import Foreseen, Offering, foresee, known_visits, offer
from testbed.studies.findings import Column, Findings, Row, Table, deviation, plain, say, spread_of
from testbed.studies.study import PREDICTIONS, Context, Study, main
from testbed.studies.yardsticks import HeldCircles, NotHeld
from traces.trace import TraceSet

Forecasts = tuple[FloatArray, BoolArray]
RADII_M = (50.0, 60.0, 70.0, 80.0, 90.0, 100.0)
PROBABILITIES = (0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03)
KEEP_PROBABILITY = 0.005  # down to which an offer is renewed
TARGET_SHARE, TARGET_GAIN = 0.75, 1.25
ORDER = ("circles", "circles, held", "visits, not held", "visits", "oracle")
CERTAIN = Visits.Settings(offer_probability=1.0, keep_probability=1.0)


def measure(context: Context) -> Iterator[Row]:
    """Yield of each split a row a choice of servers; keep the forecasts within 1, 2, ... intervals.

    Raise ConfigurationError if nobody who is tested changes server.
    """
    movements = context.movements
    n = context.settings.migration.trajectory_length
    people = movements.people()
    for number, (training, testing) in enumerate(movements.split(people)):
        say(f"split {number + 1} of {movements.splits}: training")
        circles, visits = (
            predicted(predictor, people, training, testing)
            for predictor in (LinearSvr(max(n, TRAJECTORY_LENGTH)), VisitPredictor(n))
        )
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
        context.extra[number] = [forecasts(visits, ahead) for ahead in range(1, HORIZON + 1)]
        yield from rows


def forecasts(visits: list[Foreseen], intervals: int) -> Forecasts:
    """Return probabilities of visits within some intervals, and whether they happened."""
    each = [visit_forecasts(path.candidates, path.attached, intervals) for path in visits]
    probability, happened = zip(*each, strict=True)
    return np.concatenate(probability), np.concatenate(happened)


def predicted(
    predictor: LinearSvr | VisitPredictor, people: People, training: TraceSet, testing: TraceSet
) -> list[Foreseen]:
    """Return what a predictor says of those tested."""
    predictor.fit(training.positions_m, people.servers_m)
    return foresee(predictor, testing.positions_m, people.servers_m)


def choices(
    circles: list[Foreseen], visits: list[Foreseen]
) -> Iterator[tuple[str, float, Policy, list[Foreseen]]]:
    """Yield all ways to choose servers: name, radius or probability, policy, and predictions."""
    for radius_m in RADII_M:
        yield "circles", radius_m, PerDnn(Migration(radius_m=radius_m)), circles
    for radius_m in RADII_M:
        yield "circles, held", radius_m, HeldCircles(Migration(radius_m=radius_m)), circles
    for probability in PROBABILITIES:
        own = Visits.Settings(offer_probability=probability, keep_probability=KEEP_PROBABILITY)
        yield "visits, not held", probability, NotHeld(Migration(), own), visits
        yield "visits", probability, Visits(Migration(), own), visits
    known = [known_visits(each, HORIZON) for each in visits]
    yield "oracle", 1.0, Visits(Migration(), CERTAIN), known


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


def conclude(context: Context, splits: pd.DataFrame) -> Findings:
    """Return means over the splits, in the order of the choices, and the hit ratio's deviation."""
    groups = splits.groupby(["choice", "parameter"], sort=False)
    means = groups.mean().drop(columns="split")
    means["hit_ratio_sd"] = groups["hit_ratio"].agg(deviation)
    curves = means.reset_index().sort_values(
        "choice", kind="stable", key=lambda each: each.map(ORDER.index)
    )
    kept = [context.extra[number] for number in splits["split"].unique()]
    calibration = [
        reliability(*map(np.concatenate, zip(*within, strict=True)))
        for within in zip(*kept, strict=True)
    ]
    oracle = curves[curves["choice"] == "oracle"].iloc[0]
    best = oracle["transfers_per_handover"], oracle["hit_ratio"]
    folder, interval_s = context.folder.figures, context.movements.interval_s
    figures = (
        draw_offers(folder, curves[curves["choice"] != "oracle"], best),
        draw_reliability(folder, calibration, interval_s),
    )
    rows, within = curves.to_dict("records"), reliability_rows(calibration)
    name, number = context.movements.name, context.movements.splits
    title = f"Offers and hits on {name}, means of {number} split(s)"
    believed = table_of_reliability(calibration)
    shown: list[str | Table] = [title, table_of(rows), *compared(curves), believed]
    return Findings(rows, shown, figures, {"reliability": within})


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


def table_of(rows: list[Row]) -> Table:
    """Return hits and offers by choice."""
    return Table(
        (
            *(plain("choice"), plain("r or p", "parameter", "g")),
            spread_of("hit ratio, %", "hit_ratio", 100),
            Column("transfers", lambda row: round(row["transfers"])),
            Column("renewals", lambda row: round(row["renewals"])),
            plain("per handover", "transfers_per_handover", ".2f"),
        ),
        rows,
    )


def table_of_reliability(calibration: list[Reliability]) -> Table:
    """Return how far the probabilities can be believed."""
    columns = (
        Column("within", lambda row: f"{row['intervals']} intervals"),
        *(plain("Brier score", "brier", ".4f"), plain("of the base rate", "brier_base", ".4f")),
        *(plain("skill", form=".2f"), plain("calibration error", "calibration_error", ".4f")),
    )
    rows = [
        vars(each) | {"intervals": intervals, "skill": each.brier_skill}
        for intervals, each in enumerate(calibration, start=1)
    ]
    title = "\nReliability of the probabilities of a visit, the server that someone is at left out"
    return Table(columns, rows, title)


def compared(curves: pd.DataFrame) -> Iterator[str]:
    """Yield what equal hits cost, and what equal transfers bring, beside the circles."""
    by_choice = dict(list(curves.groupby("choice")))
    circles = by_choice["circles"].set_index("parameter")
    wide, narrow = circles.loc[max(RADII_M)], circles.loc[min(RADII_M)]
    yield (
        f"\nThe hit ratio of r = {max(RADII_M):g} m, {wide.hit_ratio:.3f}, costs there"
        f" {wide.transfers:.0f} transfers and {wide.renewals:.0f} renewals;\nwith the"
        f" {narrow.transfers:.0f} transfers of r = {min(RADII_M):g} m it is"
        f" {narrow.hit_ratio:.3f} there. Between the points of each line:"
    )
    for choice in ("circles, held", "visits, not held", "visits"):
        points = by_choice[choice].sort_values("transfers")
        cost = interpolate(wide.hit_ratio, points["hit_ratio"], points["transfers"])
        gain = interpolate(narrow.transfers, points["transfers"], points["hit_ratio"])
        yield (
            f"  {choice:17} {cost:6.0f} transfers, {cost / wide.transfers:.2f} times"
            f" (target {TARGET_SHARE});  hit ratio {gain:.3f}, {gain / narrow.hit_ratio:.2f} times"
            f" (target {TARGET_GAIN})"
        )


def interpolate(wanted: float, known: pd.Series, values: pd.Series) -> float:
    """Return the value at a known figure between two points; NaN beyond a line's ends."""
    return float(np.interp(wanted, known, values, left=math.nan, right=math.nan))


STUDY = Study(Experiment(name="visits_offers"), measure, conclude, reads=PREDICTIONS)

if __name__ == "__main__":
    main(STUDY)
