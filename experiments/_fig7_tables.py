"""What Fig. 7's experiment prints for people."""

from collections.abc import Sequence

from _delivery import Row
from _single_client import print_fixed, rate_text, remark
from paper import FIG7_COLD_START_S, FIG7_INCEPTION_MIGRATED_MB, FIG7_INCEPTION_SPEEDUP, TABLE_2


def print_simulated(rows: Sequence[Row]) -> None:
    """Print peaks by rate, and when the server was changed; `separate` and `shared` uplink."""
    rates = dict.fromkeys(row["up_bps"] for row in rows)
    for up_bps in rates:
        print_fixed(
            [
                ("model", ""),
                ("migrated", ""),
                ("MB", ".1f"),
                ("%", ".1f"),
                ("separate:\npeak, s", ".2f"),
                ("times\nlower", ".2f"),
                ("shared:\npeak, s", ".2f"),
                ("times\nlower", ".2f"),
                ("the paper's\ntimes lower", ""),
            ],
            [
                (
                    separate["model"],
                    separate["migrated"],
                    separate["migrated_bytes"] / 1e6,
                    100 * separate["migrated_share"],
                    separate["peak_s"],
                    separate["peak_speedup"],
                    shared["peak_s"],
                    shared["peak_speedup"],
                    _paper(separate),
                )
                for separate, shared in _pairs(rows, up_bps)
            ],
            f"Fig. 7, simulated, {rate_text(up_bps)} bit/s, uplink separate and shared",
        )
    remark(
        "separate: queries and upload do not share the uplink; shared: by halves, as emulated.\n"
    )
    _print_changes(rows, list(rates))


def _print_changes(rows: Sequence[Row], rates: Sequence[float]) -> None:
    models = dict.fromkeys(row["model"] for row in rows)
    print_fixed(
        [
            ("model", ""),
            ("uplink,\nbit/s", ""),
            ("separate:\nupload, s", ".1f"),
            ("change, s", ".1f"),
            ("shared:\nupload, s", ".1f"),
            ("change, s", ".1f"),
            ("the paper's\nchange, s", ""),
        ],
        [
            (
                model,
                rate_text(up_bps),
                separate["uploading_s"],
                separate["handover_s"],
                shared["uploading_s"],
                shared["handover_s"],
                f"~{FIG7_COLD_START_S[model]}" if model in FIG7_COLD_START_S else "",
            )
            for model in models
            for up_bps in rates
            for separate, shared in _pairs(rows, up_bps)
            if (separate["model"], separate["migrated"]) == (model, "nothing")
        ],
        "When the client changes its server",
    )
    remark("It changes when it raises its first query after the upload has ended.")
    if "mobilenet" in models:
        remark(
            f"MobileNet's ~{FIG7_COLD_START_S['mobilenet']} s exceed its upload "
            f"({TABLE_2['mobilenet'].uploading_s} s in the paper's Table II): not reproduced."
        )


def _pairs(rows: Sequence[Row], up_bps: float) -> list[tuple[Row, Row]]:
    separate, shared = (
        [row for row in rows if (row["up_bps"], row["uplink"]) == (up_bps, uplink)]
        for uplink in ("separate", "shared")
    )
    return list(zip(separate, shared, strict=True))


def print_measured(rows: Sequence[Row]) -> None:
    """Print emulated peaks beside simulated ones."""
    print_fixed(
        [
            ("model", ""),
            ("migrated", ""),
            ("MB", ".1f"),
            ("peak, s", ".2f"),
            ("simulated", ".2f"),
            ("times\nlower", ".2f"),
            ("the paper's\ntimes lower", ""),
            ("fidelity", ""),
        ],
        [
            (
                row["model"],
                row["migrated"],
                row["present_bytes"] / 1e6,
                row["peak_s"],
                row["simulated_peak_s"],
                row["peak_speedup"],
                _paper(row),
                row["fidelity"],
            )
            for row in rows
        ],
        f"Fig. 7, emulated, {rate_text(rows[0]['up_bps'])} bit/s, uplink shared",
    )


def _paper(row: Row) -> str:
    if (row["model"], row["migrated"]) != ("inception", "part"):
        return ""
    return f"{FIG7_INCEPTION_SPEEDUP} ({FIG7_INCEPTION_MIGRATED_MB} MB)"
