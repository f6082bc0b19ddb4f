"""Beyond the paper: queries after changes of server against bytes on the backhaul, by policy.

    python experiments/benefit_per_byte.py
    python experiments/benefit_per_byte.py --models inception --splits 1

Everyone who is tested walks from first to last position, as in Fig. 9 and in the paper's network.
Each policy is a curve over the setting that trades queries for bytes:

    circles           PerDNN: all layers to all servers within r of the predicted position
    fractions         the same with r = 100 m, but the first layers only, up to so many megabytes
    visits            all layers where a visit is probable enough; what is there is held
    benefit           each group of layers where it gains as many queries a megabyte, within 100
                      Mbit/s from and to each server; what is there is held
    benefit, not held the same, but layers live only as long as they are offered
    oracle            benefit, where the next five intervals are known
    IONN, pull, routing, cloud, optimal    have no such setting

The goals are shares of what PerDNN with r = 100 m has: 98 % of its queries for a third of its bytes
and of its peak uplink, and 99 % for half of both. Which setting meets a goal is decided on people
who train (up to a third of them walk, the others teach the predictor), and measured on those who
are tested.

Means over splits of the people, with standard deviations.
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import pandas as pd
from _delivery import Row, deliver, means, say, spread
from _mobility import Movements, load, new_folder
from _oracle import Oracle
from _simulated import (
    PAPERS_NETWORK,
    Outcome,
    Walkers,
    for_model,
    keep_splits,
    models_of,
    parser_of_models,
    peaks_mbps,
    simulate,
    walkers,
)
from msgspec.structs import replace

from testbed.analysis.simulation_figures import draw_frontier
from testbed.commands.output import print_table
from testbed.config import Experiment
from testbed.exits import exit_with
from testbed.simulation.offloading import Offloading
from traces.prepare import split_people

NAME = "benefit_per_byte"
MODELS = ("inception", "resnet")
REFERENCE = ("circles", 100.0)
LEAST_BENEFITS = (0.004, 0.006, 0.008, 0.01, 0.012, 0.014, 0.016, 0.018, 0.022, 0.03)


class Family(NamedTuple):
    """A policy as the figure names it, and the setting that is varied; none has one point.

    Args:
        label: of the curve.
        fixed: settings of the section `migration`.
        varied: which of them is varied.
        values: that it takes.
    """

    label: str
    fixed: Mapping[str, object]
    varied: str | None = None
    values: tuple[float, ...] = ()


FAMILIES = (
    Family("IONN", {"policy": "ionn"}),
    Family("circles", {"policy": "perdnn"}, "radius_m", (25.0, 50.0, 75.0, 100.0, 150.0)),
    Family("fractions", {"policy": "perdnn", "radius_m": 100.0}, "fraction_mb", (6.0, 22.0, 46.0)),
    Family("visits", {"policy": "visits"}, "offer_probability", (0.02, 0.05, 0.1, 0.2)),
    Family("benefit", {"policy": "benefit"}, "least_benefit", LEAST_BENEFITS),
    Family(
        "benefit, not held",
        {"policy": "benefit", "keep_probability": 1.0},
        "least_benefit",
        (0.004, 0.01, 0.022),
    ),
    Family("oracle", {"policy": "_oracle:Oracle"}, "least_benefit", (0.0, 0.06, 0.1, 0.2)),
    Family("pull", {"policy": "pull"}),
    Family("routing", {"policy": "routing"}),
    Family("cloud", {"policy": "cloud"}),
    Family("optimal", {"policy": "optimal"}),
)
BENEFIT = next(family for family in FAMILIES if family.label == "benefit")


class Goal(NamedTuple):
    """Shares of PerDNN's queries, bytes and peak uplink with r = 100 m."""

    queries: float
    bytes: float
    peak: float

    @property
    def label(self) -> str:
        """The goal in words."""
        return f"{self.queries:.0%} for {self.bytes:.0%}"

    def is_met(self, row: Row) -> bool:
        """Whether a row of shares meets it."""
        return bool(
            row["queries_share"] >= self.queries
            and row["bytes_share"] <= self.bytes
            and row["peak_share"] <= self.peak
        )


GOALS = (Goal(0.98, 1 / 3, 1 / 3), Goal(0.99, 1 / 2, 1 / 2))
FIGURES = (
    *("queries_after", "queries", "hit_ratio", "backhaul_gb", "migrated_gb", "peak_uplink_mbps"),
    *("queries_share", "all_queries_share", "bytes_share", "peak_share"),
)


def main() -> int:
    """Simulate, print, draw."""
    given = ask()
    models = models_of(given)
    movements = load(given)
    folder = new_folder(given, NAME, movements)
    splits, status = keep_splits(folder, measure(movements, models))
    if splits.empty:
        return status
    curves, goals = summarise(splits[splits["goal"].isna()]), summarise_goals(splits)
    deliver(folder, curves, given.json, goals=goals)
    figure = draw_frontier(folder.figures, curves, [goal._asdict() for goal in GOALS])
    if not given.json:
        report(curves, goals, movements)
    say(f"figure: {figure}")
    say(f"files: {folder.path}")
    return status


def ask() -> argparse.Namespace:
    """Return the command line's settings."""
    made = parser_of_models(__doc__, NAME, MODELS)
    made.set_defaults(splits=3)
    return made.parse_args()


def measure(movements: Movements, models: list[str]) -> Iterator[Row]:
    """Yield the shares of each split, model, policy and setting, and of those that meet a goal."""
    people = movements.people()
    for number, (training, testing) in enumerate(movements.split(people)):
        walking = min(len(testing.people), max(1, round(len(training.people) / 3)))
        teaching, tuning = split_people(training, walking, seed=number)
        tuned = walkers(people, teaching, tuning)
        tested = walkers(people, training, testing)
        for model in models:
            say(f"split {number + 1} of {movements.splits}: {model}")
            settings, offloading = for_model(movements.settings, model)
            chosen = tune(settings, offloading, tuned)
            known = {"split": number, "model": model}
            for row in shares(settings, offloading, tested, FAMILIES):
                yield known | row | {"goal": None}
                if row["choice"] == BENEFIT.label:
                    for goal, value in chosen.items():
                        if row["parameter"] == value:
                            yield known | row | {"goal": goal.label, "met": goal.is_met(row)}


def tune(settings: Experiment, offloading: Offloading, who: Walkers) -> dict[Goal, float]:
    """Return the middle one of the settings with which people who train meet each goal."""
    reference = next(family for family in FAMILIES if family.label == REFERENCE[0])
    rows = [*shares(settings, offloading, who, (reference, BENEFIT))]
    chosen = {}
    for goal in GOALS:
        met = [
            row["parameter"] for row in rows if row["choice"] == BENEFIT.label and goal.is_met(row)
        ]
        if met:
            chosen[goal] = sorted(met)[len(met) // 2]
    return chosen


def shares(
    settings: Experiment, offloading: Offloading, who: Walkers, families: tuple[Family, ...]
) -> Iterator[Row]:
    """Yield what comes of each policy and setting, with shares of what the reference has."""
    Oracle.tell(who.clients, who.people.access_points)
    rows: list[Row] = [
        {"choice": family.label, "parameter": value} | _figures(outcome, who)
        for family in families
        for value, outcome in _outcomes(settings, offloading, who, family)
    ]
    (whole,) = (row for row in rows if (row["choice"], row["parameter"]) == REFERENCE)
    for row in rows:
        yield row | {
            "queries_share": row["queries_after"] / whole["queries_after"],
            "all_queries_share": row["queries"] / whole["queries"],
            "bytes_share": row["backhaul_gb"] / whole["backhaul_gb"],
            "peak_share": row["peak_uplink_mbps"] / whole["peak_uplink_mbps"],
        }


def _outcomes(
    settings: Experiment, offloading: Offloading, who: Walkers, family: Family
) -> Iterator[tuple[float | None, Outcome]]:
    for value in family.values or (None,):
        varied = {} if family.varied is None else {family.varied: value}
        migration = replace(settings.migration, **family.fixed, **varied)
        chosen = replace(settings, migration=migration, simulation=PAPERS_NETWORK)
        yield value, simulate(chosen, offloading, who)


def _figures(outcome: Outcome, who: Walkers) -> Row:
    return {
        "queries_after": outcome.queries_after,
        "queries": outcome.queries,
        "hit_ratio": outcome.hit_ratio,
        "backhaul_gb": outcome.backhaul_bytes / 1e9,
        "migrated_gb": outcome.migrated_bytes / 1e9,
        "peak_uplink_mbps": peaks_mbps(outcome, who.people)[0],
    }


def summarise(splits: pd.DataFrame) -> list[Row]:
    """Return means and standard deviations by model, policy and setting."""
    rows = []
    keys = ["model", "choice", "parameter"]
    for (model, choice, parameter), figures in splits.groupby(keys, sort=False, dropna=False):
        row: Row = {"model": model, "choice": choice}
        row["parameter"] = None if pd.isna(parameter) else float(parameter)
        rows.append(row | {"splits": len(figures)} | means(figures, FIGURES))
    return rows


def summarise_goals(splits: pd.DataFrame) -> list[Row]:
    """Return for each model and goal what the settings did that were chosen for it."""
    rows = []
    number = splits["split"].nunique()
    for model in splits["model"].unique():
        for goal in GOALS:
            own = splits[(splits["model"] == model) & (splits["goal"] == goal.label)]
            row: Row = {"model": model, "goal": goal.label, "splits": number, "chosen": len(own)}
            row["met"] = int(own["met"].sum())
            row["least_benefit"] = sorted(own["parameter"].tolist())
            rows.append(row | means(own, FIGURES))
    return rows


def report(curves: list[Row], goals: list[Row], movements: Movements) -> None:
    """Print the tables for people."""
    print(
        f"Queries for bytes on {movements.name}: means of {curves[0]['splits']} split(s) of the"
        " people; shares of PerDNN's with r = 100 m"
    )
    print_table(
        (
            *("model", "policy", "setting", "hits, %", "queries, %", "all, %"),
            *("bytes, %", "peak, %"),
        ),
        [
            (
                row["model"],
                row["choice"],
                "" if row["parameter"] is None else f"{row['parameter']:g}",
                f"{100 * row['hit_ratio']:.0f}",
                f"{100 * row['queries_share']:.1f}",
                f"{100 * row['all_queries_share']:.2f}",
                f"{100 * row['bytes_share']:.1f}",
                f"{100 * row['peak_share']:.1f}",
            )
            for row in curves
        ],
    )
    print_table(
        ("model", "goal", "splits", "settings", "queries, %", "bytes, %", "peak, %"),
        [
            (
                row["model"],
                row["goal"],
                f"{row['met']} of {row['splits']}",
                " ".join(f"{value:g}" for value in dict.fromkeys(row["least_benefit"])),
                spread(row["queries_share"], row["queries_share_sd"], 100),
                spread(row["bytes_share"], row["bytes_share_sd"], 100),
                spread(row["peak_share"], row["peak_share_sd"], 100),
            )
            for row in goals
        ],
        title="Policy benefit: goals of queries for bytes and peak; settings chosen in training",
    )


if __name__ == "__main__":
    exit_with(main)
