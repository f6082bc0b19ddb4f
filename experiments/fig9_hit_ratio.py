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

from testbed.analysis.figures.simulation_figures import draw_hit_ratios
from testbed.settings.experiment import Experiment
from testbed.studies import paper
from testbed.studies.findings import Column, Findings, Row, Table, means, percent, plain, spread_of
from testbed.studies.study import Context, Study, main
from testbed.studies.whole_traces import Contender, each_split, for_model, peaks_mbps, simulate

CONTENDERS = (
    Contender("IONN", "ionn"),
    Contender("r = 50", "perdnn", 50.0),
    Contender("r = 100", "perdnn", 100.0),
    Contender("optimal", "optimal"),
)
RADII_M = {each.label: each.radius_m for each in CONTENDERS if each.policy == "perdnn"}
FIGURES = (
    *("hit_ratio", "chosen_ratio", "queries_after", "handovers", "queries", "migrated_gb"),
    *("peak_uplink_mbps", "peak_downlink_mbps", "servers_under_100mbps_share"),
)


def measure(context: Context) -> Iterator[Row]:
    """Yield the figures of each split, model and policy."""
    for number, model, who in each_split(context):
        settings, offloading = for_model(context.settings, model)
        for contender in CONTENDERS:
            totals = simulate(contender.applied(settings), offloading, who)
            up_mbps, down_mbps, under = peaks_mbps(totals, who.people)
            yield {
                "split": number,
                "model": model,
                "policy": contender.label,
                "hit_ratio": totals.hit_ratio,
                "chosen_ratio": totals.chosen_ratio,
                "queries_after": totals.queries_after,
                "handovers": totals.handovers,
                "queries": totals.queries,
                "migrated_gb": totals.migrated_bytes / 1e9,
                "peak_uplink_mbps": up_mbps,
                "peak_downlink_mbps": down_mbps,
                "servers_under_100mbps_share": under,
            }


def conclude(context: Context, splits: pd.DataFrame) -> Findings:
    """Return means and standard deviations; `gain` is of `queries_after` over IONN's."""
    name = context.movements.name
    rows: list[Row] = [
        {"dataset": name, "model": model, "policy": policy, "splits": len(figures)}
        | means(figures, FIGURES)
        for (model, policy), figures in splits.groupby(["model", "policy"], sort=False)
    ]
    of = {(row["model"], row["policy"]): row["queries_after"] for row in rows}
    for row in rows:
        ionn = of.get((row["model"], "IONN"))
        optimal = of.get((row["model"], "optimal"))
        row["gain"] = row["queries_after"] / ionn if ionn else None
        row["optimizable_queries"] = optimal - ionn if optimal and ionn else None
    figure = draw_hit_ratios(context.folder.figures, rows, name)
    return Findings(rows, shown(context, rows), [figure])


def shown(context: Context, rows: list[Row]) -> Iterator[str | Table]:
    """Yield the tables for people, with the paper's figures."""
    name = context.movements.name
    hits, (low, high) = paper.FIG9_HIT_RATIOS.get(name, {}), paper.FIG9_GAINS

    def reported(row: Row) -> str:
        return f"{hits[RADII_M[row['policy']]]:.0%}" if row["policy"] in RADII_M and hits else ""

    yield (
        f"Fig. 9 on {name}: means of {rows[0]['splits']} split(s) of the people,"
        f" t = {context.movements.interval_s:g} s, {rows[0]['handovers']:,.0f} changes of server"
    )
    yield Table(
        (
            *(plain("model"), plain("policy"), spread_of("hits, %", "hit_ratio", 100)),
            *(spread_of("chosen, %", "chosen_ratio", 100), Column("paper", reported)),
            plain("queries", "queries_after", ",.0f"),
            Column("gain", lambda row: "" if row["gain"] is None else f"{row['gain']:.2f}"),
        ),
        rows,
    )
    yield Table(
        (
            *(plain("model"), plain("policy"), plain("migrated, GB", "migrated_gb", ",.0f")),
            spread_of("peak up, Mbit/s", "peak_uplink_mbps"),
            plain("down", "peak_downlink_mbps", ".0f"),
            percent("under 100, %", "servers_under_100mbps_share", 0),
        ),
        [row for row in rows if row["policy"] in RADII_M],
        "Backhaul: most crowded server, share of servers under 100 Mbit/s",
    )
    if name in paper.PEAKS_MBPS:
        up_mbps, down_mbps = paper.PEAKS_MBPS[name]
        least, most = (f"{100 * share:.0f}" for share in paper.SERVERS_UNDER_100_MBPS)
        yield (
            f"The paper, with Inception: peaks of {up_mbps} Mbit/s up and {down_mbps} down;"
            f" {least} to {most} % of the servers under 100 Mbit/s."
        )
    yield (
        f"The paper's gains of PerDNN lie between {low} and {high}; paper_differences.py says more."
        "\nOptimizable queries, what optimal has more than IONN:"
    )
    optimal = [row for row in rows if row["policy"] == "optimal"]
    columns = (
        *(plain("model"), plain("here", "optimizable_queries", ",.0f")),
        Column("paper", lambda row: f"{paper.FIG9_OPTIMIZABLE[row['model']]:,}"),
    )
    yield Table(columns, [row for row in optimal if row["optimizable_queries"] is not None])


STUDY = Study(Experiment(name="fig9_hit_ratio"), measure, conclude, models=paper.MODELS)

if __name__ == "__main__":
    main(STUDY)
