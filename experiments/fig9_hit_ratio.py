"""Fig. 9: hit ratios, and queries executed right after changes of server (section IV.B.3).

    python experiments/fig9_hit_ratio.py
    python experiments/fig9_hit_ratio.py --traces Data      # Geolife's, where they are

Everyone who is tested walks from first to last position, and each change of server is a cold start
unless all of the plan's layers are there. Queries are counted in the interval after each change.
IONN uploads from scratch; PerDNN migrates to the servers within r of the predicted position (linear
SVR) and keeps layers for five intervals; optimal has everything everywhere. The network is the
paper's: migrations take no time, and queries do not share the uplink with the upload. A server was
chosen where layers had been offered to it in time, whether or not all of them had arrived.

Means over splits of the people, with standard deviations.
"""

from collections.abc import Iterator

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import pandas as pd
import paper
from _delivery import Row, deliver, means, say, spread
from _mobility import Movements, load, new_folder
from _simulated import (
    Choice,
    Outcome,
    choose,
    each_split,
    for_model,
    keep_splits,
    models_of,
    parser_of_models,
    peaks_mbps,
    simulate,
)

from testbed.analysis.simulation_figures import draw_hit_ratios
from testbed.commands.output import print_table
from testbed.exits import exit_with

NAME = "fig9_hit_ratio"
CHOICES = (
    Choice("IONN", "ionn"),
    Choice("r = 50", "perdnn", 50.0),
    Choice("r = 100", "perdnn", 100.0),
    Choice("optimal", "optimal"),
)
FIGURES = (
    *("hit_ratio", "chosen_ratio", "queries_after", "handovers", "queries", "migrated_gb"),
    *("peak_uplink_mbps", "peak_downlink_mbps", "servers_under_100mbps_share"),
)


def main() -> int:
    """Simulate, print, draw."""
    given = parser_of_models(__doc__, NAME, paper.MODELS).parse_args()
    models = models_of(given)
    movements = load(given)
    folder = new_folder(given, NAME, movements)
    splits, status = keep_splits(folder, measure(movements, models))
    if splits.empty:
        return status
    rows = summarise(splits, movements.name)
    deliver(folder, rows, given.json)
    figure = draw_hit_ratios(folder.figures, rows, movements.name)
    if not given.json:
        report(rows, movements)
    say(f"figure: {figure}")
    say(f"files: {folder.path}")
    return status


def measure(movements: Movements, models: list[str]) -> Iterator[Row]:
    """Yield the figures of each split, model and policy."""
    for number, model, who in each_split(movements, models):
        settings, offloading = for_model(movements.settings, model)
        for choice in CHOICES:
            outcome = simulate(choose(settings, choice), offloading, who)
            yield {"split": number, "model": model, "policy": choice.label} | figures_of(
                outcome, peaks_mbps(outcome, who.people)
            )


def figures_of(outcome: Outcome, peak: tuple[float, float, float]) -> Row:
    """Return a run's figures by name."""
    up_mbps, down_mbps, under = peak
    return {
        "hit_ratio": outcome.hit_ratio,
        "chosen_ratio": outcome.chosen_ratio,
        "queries_after": outcome.queries_after,
        "handovers": outcome.handovers,
        "queries": outcome.queries,
        "migrated_gb": outcome.migrated_bytes / 1e9,
        "peak_uplink_mbps": up_mbps,
        "peak_downlink_mbps": down_mbps,
        "servers_under_100mbps_share": under,
    }


def summarise(splits: pd.DataFrame, dataset: str) -> list[Row]:
    """Return means and standard deviations; `gain` is of `queries_after` over IONN's."""
    rows = []
    for (model, policy), figures in splits.groupby(["model", "policy"], sort=False):
        row: Row = {"dataset": dataset, "model": model, "policy": policy, "splits": len(figures)}
        row |= means(figures, FIGURES)
        rows.append(row)
    of = {(row["model"], row["policy"]): row["queries_after"] for row in rows}
    for row in rows:
        ionn = of.get((row["model"], "IONN"))
        optimal = of.get((row["model"], "optimal"))
        row["gain"] = row["queries_after"] / ionn if ionn else None
        row["optimizable_queries"] = optimal - ionn if optimal and ionn else None
    return rows


def report(rows: list[Row], movements: Movements) -> None:
    """Print the table for people, with the paper's figures."""
    hits = paper.FIG9_HIT_RATIOS.get(movements.name, {})
    radius = {choice.label: choice.radius_m for choice in CHOICES if choice.policy == "perdnn"}
    print(
        f"Fig. 9 on {movements.name}: means of {rows[0]['splits']} split(s) of the people,"
        f" t = {movements.settings.traces.interval_s:g} s, {rows[0]['handovers']:,.0f} changes of"
        " server"
    )
    print_table(
        ("model", "policy", "hits, %", "chosen, %", "paper", "queries", "gain"),
        [
            (
                row["model"],
                row["policy"],
                spread(row["hit_ratio"], row["hit_ratio_sd"], 100),
                spread(row["chosen_ratio"], row["chosen_ratio_sd"], 100),
                f"{hits[radius[row['policy']]]:.0%}" if row["policy"] in radius and hits else "",
                f"{row['queries_after']:,.0f}",
                "" if row["gain"] is None else f"{row['gain']:.2f}",
            )
            for row in rows
        ],
    )
    print_table(
        ("model", "policy", "migrated, GB", "peak up, Mbit/s", "down", "under 100, %"),
        [
            (
                row["model"],
                row["policy"],
                f"{row['migrated_gb']:,.0f}",
                spread(row["peak_uplink_mbps"], row["peak_uplink_mbps_sd"], 1),
                f"{row['peak_downlink_mbps']:.0f}",
                f"{100 * row['servers_under_100mbps_share']:.0f}",
            )
            for row in rows
            if row["policy"] in radius
        ],
        title="Backhaul: most crowded server, share of servers under 100 Mbit/s",
    )
    if (reported := paper.PEAKS_MBPS.get(movements.name)) is not None:
        print(f"The paper's peaks with Inception: {reported[0]} Mbit/s up, {reported[1]} down.")
    low, high = paper.FIG9_GAINS
    print(
        f"The paper's gains of PerDNN lie between {low} and {high}; paper_differences.py says more."
        "\nOptimizable queries, what optimal has more than IONN:"
    )
    print_table(
        ("model", "here", "paper"),
        [
            (
                row["model"],
                f"{row['optimizable_queries']:,.0f}",
                f"{paper.FIG9_OPTIMIZABLE[row['model']]:,}",
            )
            for row in rows
            if row["policy"] == "optimal" and row["optimizable_queries"] is not None
        ],
    )


if __name__ == "__main__":
    exit_with(main)
