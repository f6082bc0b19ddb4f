"""What Fig. 7's experiment prints for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from testbed.studies import paper
from testbed.studies.findings import Column, Row, Table, plain
from testbed.studies.single_client import rate_text


def simulated(rows: Sequence[Row]) -> Iterator[str | Table]:
    """Yield peaks by rate, and when the server was changed; `separate` and `shared` uplink."""
    rates = dict.fromkeys(row["up_bps"] for row in rows)
    columns = (
        *(plain("model"), plain("migrated"), megabytes("migrated_bytes")),
        Column("%", lambda row: f"{100 * row['migrated_share']:.1f}", right=True),
        plain("separate:\npeak, s", "peak_s", ".2f"),
        plain("times\nlower", "peak_speedup", ".2f"),
        plain("shared:\npeak, s", "shared_peak_s", ".2f"),
        *(plain("times\nlower", "shared_peak_speedup", ".2f"), of_paper),
    )
    for up_bps in rates:
        title = f"Fig. 7, simulated, {rate_text(up_bps)} bit/s, uplink separate and shared"
        yield Table(columns, pairs(rows, up_bps), title)
    yield "separate: queries and upload do not share the uplink; shared: by halves, as emulated.\n"
    models = dict.fromkeys(row["model"] for row in rows)
    by_rate = [row for up_bps in rates for row in pairs(rows, up_bps)]
    changes = [
        row
        for model in models
        for row in by_rate
        if (row["model"], row["migrated"]) == (model, "nothing")
    ]
    yield Table(
        (
            *(plain("model"), Column("uplink,\nbit/s", lambda row: rate_text(row["up_bps"]))),
            plain("separate:\nupload, s", "uploading_s", ".1f"),
            plain("change, s", "handover_s", ".1f"),
            plain("shared:\nupload, s", "shared_uploading_s", ".1f"),
            plain("change, s", "shared_handover_s", ".1f"),
            Column("the paper's\nchange, s", _change),
        ),
        changes,
        "When the client changes its server",
    )
    yield "It changes when it raises its first query after the upload has ended."
    if "mobilenet" in models:
        yield (
            f"MobileNet's ~{paper.FIG7_COLD_START_S['mobilenet']} s exceed its upload "
            f"({paper.TABLE_2['mobilenet'].uploading_s} s in the paper's Table II): not reproduced."
        )


def measured(rows: Sequence[Row]) -> Table:
    """Return emulated peaks beside simulated ones."""
    columns = (
        *(plain("model"), plain("migrated"), megabytes("present_bytes")),
        *(plain("peak, s", "peak_s", ".2f"), plain("simulated", "simulated_peak_s", ".2f")),
        *(plain("times\nlower", "peak_speedup", ".2f"), of_paper, plain("fidelity")),
    )
    title = f"Fig. 7, emulated, {rate_text(rows[0]['up_bps'])} bit/s, uplink shared"
    return Table(columns, rows, title)


def pairs(rows: Sequence[Row], up_bps: float) -> list[Row]:
    """Return the rows of a rate with separate uplink, with the figures of a shared one."""
    separate, shared = (
        [row for row in rows if (row["up_bps"], row["uplink"]) == (up_bps, uplink)]
        for uplink in ("separate", "shared")
    )
    return [
        one | {f"shared_{name}": value for name, value in other.items()}
        for one, other in zip(separate, shared, strict=True)
    ]


def megabytes(figure: str) -> Column:
    """Show bytes in MB."""
    return Column("MB", lambda row: f"{row[figure] / 1e6:.1f}", right=True)


def _change(row: Row) -> str:
    reported_s = paper.FIG7_COLD_START_S.get(row["model"])
    return "" if reported_s is None else f"~{reported_s}"


def _paper(row: Row) -> str:
    if (row["model"], row["migrated"]) != ("inception", "part"):
        return ""
    return f"{paper.FIG7_INCEPTION_SPEEDUP} ({paper.FIG7_INCEPTION_MIGRATED_MB} MB)"


of_paper = Column("the paper's\ntimes lower", _paper)
