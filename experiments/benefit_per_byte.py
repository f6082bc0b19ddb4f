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
    circles, kept     circles, where servers keep layers of clients that left for the time to live
    follow me         a service that moves once another server is nearer by a threshold in metres
    popular           so many servers, most visited in training, hold everyone's layers
    one cut           circles, with plans of one cut (NeuroSurgeon)
    IONN, pull, routing, cloud, optimal, download, handoff, all client    have no such setting

Bytes are those that servers send, and the cloud where they download from it; peaks are those of
servers alone. What is placed before the run (popular, optimal) has no bytes.

The goals are shares of what PerDNN with r = 100 m has: 98 % of its queries for a third of its bytes
and of its peak uplink, and 99 % for half of both. Which setting meets a goal is decided on people
who train (up to a third of them walk, the others teach the predictor), and measured on those who
are tested.

Means over splits of the people, with standard deviations.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import pandas as pd

from testbed.analysis.figures.simulation_figures import LEAST_SHARE, draw_frontier
from testbed.dnn.partitioning.planners import find_planner
from testbed.settings.experiment import Experiment
from testbed.simulation.offloading import Offloading
from testbed.studies.findings import (
    Column,
    Findings,
    Row,
    Table,
    means,
    percent,
    plain,
    say,
    spread_of,
)
from testbed.studies.study import Context, Study, main
from testbed.studies.whole_traces import (
    Totals,
    Walkers,
    chosen,
    for_model,
    peaks_mbps,
    simulate,
    walkers,
)
from testbed.studies.yardsticks import Oracle
from traces.prepare import split_people

RADIUS, LEAST_BENEFIT = "migration.radius_m", "policy.least_benefit"
KEPT, PLANNER = "migration.keep_after_leaving", "model.planner"
NOT_HELD = {"policy.keep_probability": 1.0}
LEAST_BENEFITS = (0.004, 0.006, 0.008, 0.01, 0.012, 0.014, 0.016, 0.018, 0.022, 0.03)


class Family(NamedTuple):
    """A policy as the figure names it, and the setting that is varied; none has one point."""

    label: str  # of the curve
    fixed: Mapping[str, object] = {}  # further settings
    varied: str | None = None  # the path of the setting that is varied
    values: tuple[float, ...] = ()  # that it takes
    policy: str | None = None  # its name; by default, the label


CIRCLES = Family("circles", {}, RADIUS, (25.0, 50.0, 75.0, 100.0, 150.0), "perdnn")
BENEFIT = Family("benefit", {}, LEAST_BENEFIT, LEAST_BENEFITS)
FAMILIES = (
    Family("IONN", policy="ionn"),
    CIRCLES,
    Family("fractions", {RADIUS: 100.0}, "migration.fraction_mb", (6.0, 22.0, 46.0), "perdnn"),
    Family("visits", {}, "policy.offer_probability", (0.02, 0.05, 0.1, 0.2)),
    BENEFIT,
    Family("benefit, not held", NOT_HELD, LEAST_BENEFIT, (0.004, 0.01, 0.022), "benefit"),
    Family("oracle", {}, LEAST_BENEFIT, (0.0, 0.06, 0.1, 0.2), f"{Oracle.__module__}:Oracle"),
    Family("circles, kept", {KEPT: True}, RADIUS, (25.0, 50.0, 100.0), "perdnn"),
    Family("follow me", {}, "policy.threshold_m", (100.0, 200.0, 400.0), "follow_me"),
    Family("popular", {}, "policy.servers", (10, 20, 40, 80)),
    Family("one cut", {PLANNER: "single_cut"}, RADIUS, (50.0, 100.0), "perdnn"),
    Family("all client", {PLANNER: "all_client"}, policy="ionn"),
    *map(Family, ("pull", "routing", "cloud", "optimal", "download", "handoff")),
)
REFERENCE = (CIRCLES.label, 100.0)


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


def measure(context: Context) -> Iterator[Row]:
    """Yield the shares of each split, model, policy and setting, and of those that meet a goal."""
    movements = context.movements
    people = movements.people()
    for number, (training, testing) in enumerate(movements.split(people)):
        walking = min(len(testing.people), max(1, round(len(training.people) / 3)))
        teaching, tuning = split_people(training, walking, seed=number)
        tuned = walkers(people, teaching, tuning)
        tested = walkers(people, training, testing)
        for model in context.models:
            say(f"split {number + 1} of {movements.splits}: {model}")
            settings, offloading = for_model(context.settings, model)
            best = tune(settings, offloading, tuned)
            known = {"split": number, "model": model}
            for row in shares(settings, offloading, tested, FAMILIES):
                yield known | row | {"goal": None, "met": None}
                if row["choice"] == BENEFIT.label:
                    for goal, value in best.items():
                        if row["parameter"] == value:
                            yield known | row | {"goal": goal.label, "met": goal.is_met(row)}


def tune(settings: Experiment, offloading: Offloading, who: Walkers) -> dict[Goal, float]:
    """Return the middle one of the settings with which people who train meet each goal."""
    rows = [*shares(settings, offloading, who, (CIRCLES, BENEFIT))]
    rows = [row for row in rows if row["choice"] == BENEFIT.label]
    best = {}
    for goal in GOALS:
        if enough := sorted(row["parameter"] for row in rows if goal.is_met(row)):
            best[goal] = enough[len(enough) // 2]
    return best


def shares(
    settings: Experiment, offloading: Offloading, who: Walkers, families: tuple[Family, ...]
) -> Iterator[Row]:
    """Yield what comes of each policy and setting, with shares of what the reference has."""
    Oracle.tell(who.clients, who.people.access_points)
    rows: list[Row] = [
        {"choice": family.label, "parameter": value}
        | _figures(simulate(chosen(settings, changes), _planned(changes, offloading), who), who)
        for family in families
        for value, changes in _settings(family)
    ]
    (whole,) = (row for row in rows if (row["choice"], row["parameter"]) == REFERENCE)
    for row in rows:
        yield row | {
            "queries_share": row["queries_after"] / whole["queries_after"],
            "all_queries_share": row["queries"] / whole["queries"],
            "bytes_share": row["backhaul_gb"] / whole["backhaul_gb"],
            "peak_share": row["peak_uplink_mbps"] / whole["peak_uplink_mbps"],
        }


def _settings(family: Family) -> Iterator[tuple[float | None, dict[str, object]]]:
    """Yield each value of the setting that is varied, and all settings that are changed."""
    for value in family.values or (None,):
        varied = {} if family.varied is None else {family.varied: value}
        yield value, {"migration.policy": family.policy or family.label, **family.fixed, **varied}


def _planned(changes: Mapping[str, object], offloading: Offloading) -> Offloading:
    """Return the model as a family's planner divides it, where it has one of its own."""
    name = changes.get(PLANNER)
    if name is None:
        return offloading
    return Offloading(offloading.graph, offloading.costs, planner=find_planner(str(name)))


def _figures(totals: Totals, who: Walkers) -> Row:
    return {
        "queries_after": totals.queries_after,
        "queries": totals.queries,
        "hit_ratio": totals.hit_ratio,
        "backhaul_gb": totals.backhaul_bytes / 1e9,
        "migrated_gb": totals.migrated_bytes / 1e9,
        "peak_uplink_mbps": peaks_mbps(totals, who.people)[0],
    }


def summarise(splits: pd.DataFrame) -> list[Row]:
    """Return means and standard deviations by model, policy and setting."""
    rows = []
    keys = ["model", "choice", "parameter"]
    for (model, choice, parameter), figures in splits.groupby(keys, sort=False, dropna=False):
        value = None if pd.isna(parameter) else float(parameter)
        row = {"model": model, "choice": choice, "parameter": value, "splits": len(figures)}
        rows.append(row | means(figures, FIGURES))
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


def conclude(context: Context, splits: pd.DataFrame) -> Findings:
    """Return the curves, and what became of the goals."""
    curves, goals = summarise(splits[splits["goal"].isna()]), summarise_goals(splits)
    figure = draw_frontier(context.folder.figures, curves, [goal._asdict() for goal in GOALS])
    title = (
        f"Queries for bytes on {context.movements.name}: means of {curves[0]['splits']} split(s)"
        " of the people; shares of PerDNN's with r = 100 m"
    )
    by_policy = (
        *(plain("model"), plain("policy", "choice")),
        Column("setting", lambda r: "" if r["parameter"] is None else f"{r['parameter']:g}"),
        *(percent("hits, %", "hit_ratio", 0), percent("queries, %", "queries_share")),
        *(percent("all, %", "all_queries_share", 2), percent("bytes, %", "bytes_share")),
        percent("peak, %", "peak_share"),
    )
    by_goal = (
        *(plain("model"), plain("goal")),
        Column("splits", lambda row: f"{row['met']} of {row['splits']}"),
        Column(
            "settings",
            lambda row: " ".join(f"{value:g}" for value in dict.fromkeys(row["least_benefit"])),
        ),
        spread_of("queries, %", "queries_share", 100),
        *(spread_of("bytes, %", "bytes_share", 100), spread_of("peak, %", "peak_share", 100)),
    )
    what = "Policy benefit: goals of queries for bytes and peak; settings chosen in training"
    shown: list[str | Table] = [title, Table(by_policy, curves), Table(by_goal, goals, what)]
    if lower := dict.fromkeys(r["choice"] for r in curves if r["queries_share"] < LEAST_SHARE):
        shown.append(f"below the figure's {LEAST_SHARE:.0%} of queries: {', '.join(lower)}")
    return Findings(curves, shown, [figure], {"goals": goals})


STUDY = Study(
    Experiment(name="benefit_per_byte"), measure, conclude, models=("inception", "resnet"), splits=3
)

if __name__ == "__main__":
    main(STUDY)
