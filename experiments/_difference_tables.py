"""What differs from the paper, as tables for people."""

from __future__ import annotations

import paper
from _delivery import Row, spread
from _mobility import Movements

from testbed.commands.output import print_table

RADII_M = (50.0, 100.0)
BACK_INTERVALS = (5, 10)
LIMITS = {
    "own": "own peaks",
    "then": "peak's time",
    "sent": "own, sending only",
}


def table2_queries(model: str, interval_s: float) -> tuple[float, float]:
    """Return the queries of Table II's miss and hit in an interval after a change of server.

    The table counts until the model is uploaded. From then on a miss is as fast as a hit; before,
    queries are taken to be spread evenly, which is too many for a miss of less than that.
    """
    uploading_s, miss, hit = paper.TABLE_2[model]
    rate = hit / uploading_s
    if interval_s < uploading_s:
        return miss * interval_s / uploading_s, rate * interval_s
    return miss + (interval_s - uploading_s) * rate, rate * interval_s


def report(rows: list[Row], movements: Movements) -> None:
    """Print one table a question."""
    interval_s, splits = movements.settings.traces.interval_s, rows[0]["splits"]
    print(f"{movements.name}: means of {splits} split(s) of the people, t = {interval_s:g} s")
    report_hits(rows, movements.name)
    report_queries(rows, interval_s)
    report_peaks(rows, movements.name)
    report_fractions(rows, movements.name)


def report_hits(rows: list[Row], dataset: str) -> None:
    """Print hits by what had arrived and by who was chosen."""
    reported = paper.FIG9_HIT_RATIOS.get(dataset, {})
    print_table(
        ("model", "r, m", "arrived", "chosen", "paper"),
        [
            (
                row["model"],
                f"{radius_m:g}",
                *(
                    spread(row[f"{kind}_{radius_m:g}"], row[f"{kind}_{radius_m:g}_sd"], 100)
                    for kind in ("hits", "chosen")
                ),
                f"{100 * reported[radius_m]:.0f}" if reported else "",
            )
            for row in rows
            for radius_m in RADII_M
        ],
        title="Hits, %: all layers had arrived; or the server was chosen in time",
    )


def report_queries(rows: list[Row], interval_s: float) -> None:
    """Print queries a change, and the changes that the paper's totals imply."""
    table = []
    for row in rows:
        miss, hit = table2_queries(row["model"], interval_s)
        nothing, everything = row["queries_nothing"], row["queries_everything"]
        optimizable = paper.FIG9_OPTIMIZABLE[row["model"]]
        table.append(
            (
                row["model"],
                *(f"{nothing:.1f}", f"{everything:.1f}", f"{miss:.1f}", f"{hit:.1f}"),
                f"{row['optimizable']:,.0f}",
                f"{optimizable:,}",
                f"{row['changes'] * optimizable / row['optimizable']:,.0f}",
            )
        )
    print_table(
        ("model", "none", "all", "Table II", "all", "optimizable", "paper", "implied"),
        table,
        title="Queries in the interval after a change with none and all of the layers there, beside"
        " Table II; their sum over all changes, and the changes that the paper's sum implies",
    )
    first = rows[0]
    print(f"Changes of server here: {first['changes']:,.0f}.")
    for intervals in BACK_INTERVALS:
        back = first[f"back_{intervals}"]
        print(
            f"  {100 * back:.0f} % lead back to a server left at most {intervals} intervals before,"
            f" {(1 - back) * first['changes']:,.0f} do not"
        )
    low, high = paper.FIG9_GAINS
    print(f"Gains with r = 100, the paper's being {low} to {high}; of hits alone, and by Table II:")
    for row in rows:
        miss, hit = table2_queries(row["model"], interval_s)
        alone = row["queries_everything"] / row["queries_nothing"]
        print(f"  {row['model']} {row['gain_100']:.2f}; {alone:.2f}; {hit / miss:.2f}")


def report_peaks(rows: list[Row], dataset: str) -> None:
    """Print whose the highest uplinks are."""
    print_table(
        ("model", "Mbit/s", "at", "clients", "servers", "after 10", "clients", "servers"),
        [
            (
                row["model"],
                spread(row["first_mbps"], row["first_mbps_sd"], 1),
                f"{row['first_interval']:.0f}" if not row["first_interval_sd"] else "",
                spread(row["first_clients"], row["first_clients_sd"], 1),
                f"{row['first_servers']:.1f}",
                spread(row["later_mbps"], row["later_mbps_sd"], 1),
                f"{row['later_clients']:.1f}",
                f"{row['later_servers']:.1f}",
            )
            for row in rows
        ],
        title="Highest uplink with r = 100: its interval, the clients whose layers are sent and the"
        " servers that each one's go to; and after ten intervals of each client",
    )
    if dataset in paper.PEAKS_MBPS:
        print(
            f"The paper, with Inception: {paper.PEAKS_MBPS[dataset][0]} Mbit/s, of"
            f" {paper.CLIENTS_AT_PEAK[dataset]} clients."
        )


def report_fractions(rows: list[Row], dataset: str) -> None:
    """Print what fractions save and cost."""
    print_table(
        ("model", "crowded by", "servers", "Mbit/s", "saved, %", "lost, %", "paper"),
        [
            (
                row["model"],
                label,
                f"{row[f'{limit}_servers']:.0f}",
                spread(row[f"{limit}_mbps"], row[f"{limit}_mbps_sd"], 1),
                f"{100 * (1 - row[f'{limit}_mbps'] / row['first_mbps']):.0f}",
                spread(row[f"{limit}_lost"], row[f"{limit}_lost_sd"], 100),
                f"{100 * reported.saved:.0f}; {100 * reported.queries_lost:.0f}"
                if dataset == "kaist"
                else "",
            )
            for row in rows
            if (reported := paper.FIG10.get(row["model"])) is not None
            for limit, label in LIMITS.items()
        ],
        title="The paper's fraction at crowded servers with r = 100",
    )
