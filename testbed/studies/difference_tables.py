"""What differs from the paper, as tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterator

from testbed.studies import paper
from testbed.studies.findings import Column, Row, Table, percent, plain, spread_of
from testbed.studies.movements import Movements

RADII_M = (50.0, 100.0)
KINDS = ("hits", "chosen")
BACK_INTERVALS = (5, 10)
LIMITS = {"own": "own peaks", "then": "peak's time", "sent": "own, sending only"}


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


def shown(rows: list[Row], movements: Movements) -> Iterator[str | Table]:
    """Yield one table a question."""
    splits, interval_s = rows[0]["splits"], movements.interval_s
    yield f"{movements.name}: means of {splits} split(s) of the people, t = {interval_s:g} s"
    yield hits(rows, movements.name)
    yield from queries(rows, interval_s)
    yield from peaks(rows, movements.name)
    yield fractions(rows, movements.name)


def hits(rows: list[Row], dataset: str) -> Table:
    """Return hits by what had arrived and by who was chosen."""
    reported = paper.FIG9_HIT_RATIOS.get(dataset, {})
    by_radius = [
        {"model": row["model"], "radius_m": radius_m}
        | {f"{kind}{sd}": row[f"{kind}_{radius_m:g}{sd}"] for kind in KINDS for sd in ("", "_sd")}
        for row in rows
        for radius_m in RADII_M
    ]
    columns = (
        *(plain("model"), plain("r, m", "radius_m", "g")),
        *(spread_of("arrived", "hits", 100), spread_of("chosen", "chosen", 100)),
        Column("paper", lambda r: f"{100 * reported[r['radius_m']]:.0f}" if reported else ""),
    )
    title = "Hits, %: all layers had arrived; or the server was chosen in time"
    return Table(columns, by_radius, title)


def queries(rows: list[Row], interval_s: float) -> Iterator[str | Table]:
    """Yield queries a change, and the changes that the paper's totals imply."""

    def of_table2(heading: str, which: int) -> Column:
        return Column(heading, lambda row: f"{table2_queries(row['model'], interval_s)[which]:.1f}")

    def implied(row: Row) -> str:
        changes = row["changes"] * paper.FIG9_OPTIMIZABLE[row["model"]] / row["optimizable"]
        return f"{changes:,.0f}"

    yield Table(
        (
            *(plain("model"), plain("none", "queries_nothing", ".1f")),
            plain("all", "queries_everything", ".1f"),
            *(of_table2("Table II", 0), of_table2("all", 1)),
            plain("optimizable", form=",.0f"),
            Column("paper", lambda row: f"{paper.FIG9_OPTIMIZABLE[row['model']]:,}"),
            Column("implied", implied),
        ),
        rows,
        "Queries in the interval after a change with none and all of the layers there, beside"
        " Table II; their sum over all changes, and the changes that the paper's sum implies",
    )
    first = rows[0]
    yield f"Changes of server here: {first['changes']:,.0f}."
    for intervals in BACK_INTERVALS:
        back = first[f"back_{intervals}"]
        yield (
            f"  {100 * back:.0f} % lead back to a server left at most {intervals} intervals before,"
            f" {(1 - back) * first['changes']:,.0f} do not"
        )
    low, high = paper.FIG9_GAINS
    yield f"Gains with r = 100, the paper's being {low} to {high}; of hits alone, and by Table II:"
    for row in rows:
        miss, hit = table2_queries(row["model"], interval_s)
        alone = row["queries_everything"] / row["queries_nothing"]
        yield f"  {row['model']} {row['gain_100']:.2f}; {alone:.2f}; {hit / miss:.2f}"


def peaks(rows: list[Row], dataset: str) -> Iterator[str | Table]:
    """Yield whose the highest uplinks are."""
    yield Table(
        (
            *(plain("model"), spread_of("Mbit/s", "first_mbps")),
            Column("at", first_interval),
            *(spread_of("clients", "first_clients"), plain("servers", "first_servers", ".1f")),
            spread_of("after 10", "later_mbps"),
            *(plain("clients", "later_clients", ".1f"), plain("servers", "later_servers", ".1f")),
        ),
        rows,
        "Highest uplink with r = 100: its interval, the clients whose layers are sent and the"
        " servers that each one's go to; and after ten intervals of each client",
    )
    if dataset in paper.PEAKS_MBPS:
        yield (
            f"The paper, with Inception: {paper.PEAKS_MBPS[dataset][0]} Mbit/s, of"
            f" {paper.CLIENTS_AT_PEAK[dataset]} clients."
        )


def first_interval(row: Row) -> str:
    """Return the interval of the highest uplink, where all splits have the same."""
    if math.isnan(row["first_interval"]):
        return "-"
    return "differs" if row["first_interval_sd"] > 0 else f"{row['first_interval']:.0f}"


def fractions(rows: list[Row], dataset: str) -> Table:
    """Return what fractions save and cost."""
    by_limit = [
        {
            "model": row["model"],
            "label": label,
            "servers": row[f"{limit}_servers"],
            "saved": 1 - row[f"{limit}_mbps"] / row["first_mbps"],
            "reported": paper.FIG10[row["model"]],
            **{f"{f}{sd}": row[f"{limit}_{f}{sd}"] for f in ("mbps", "lost") for sd in ("", "_sd")},
        }
        for row in rows
        if row["model"] in paper.FIG10
        for limit, label in LIMITS.items()
    ]

    def of_paper(row: Row) -> str:
        saved, lost = row["reported"].saved, row["reported"].queries_lost
        return f"{100 * saved:.0f}; {100 * lost:.0f}" if dataset == "kaist" else ""

    columns = (
        *(plain("model"), plain("crowded by", "label"), plain("servers", form=".0f")),
        *(spread_of("Mbit/s", "mbps"), percent("saved, %", "saved", 0)),
        *(spread_of("lost, %", "lost", 100), Column("paper", of_paper)),
    )
    return Table(columns, by_limit, "The paper's fraction at crowded servers with r = 100")
