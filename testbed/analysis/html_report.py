"""report.html: a run on one plain page that needs nothing but itself.

How it looks is in `templates/report.html.j2`; what it shows is made here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from testbed.analysis.comparison import HIT_TOLERANCE, TOTALS
from testbed.analysis.figures.comparison_figure import NAME as COMPARISON
from testbed.analysis.figures.run_figures import CAPTIONS
from testbed.analysis.traffic import crowding
from testbed.analysis.traffic.confirmation import checks
from testbed.analysis.worth import worth_lines
from testbed.runs.folder import RunFolder
from testbed.runs.records import has_table, read_table
from testbed.runs.whole_files import written_whole
from testbed.settings.units import format_size

_VERDICTS = {
    "good": "The timing of this run was kept; its figures can be used.",
    "degraded": "The machine fell behind at times, or captures are not whole; treat this run's"
    " figures with care.",
    "invalid": "The machine could not keep the timing; do not use this run's figures.",
}
# Key in summary.json, what people call it, unit
_SUMMARY = (
    ("handovers", "Handovers", ""),
    ("hit_ratio", "Hit ratio", "%"),
    ("hits", "Hits", ""),
    ("misses", "Misses", ""),
    ("queries", "Queries", ""),
    ("cold_start_queries", "Cold-start queries", ""),
    ("computed_share", "Computed in PyTorch, every segment", "%"),
    ("failed_queries", "Failed queries", ""),
    ("median_latency_s", "Query time, median", "s"),
    ("p95_latency_s", "Query time, 95th percentile", "s"),
    ("median_handover_gap_s", "Handover to first byte, median", "s"),
    ("mean_prediction_error_m", "Prediction error, mean", "m"),
    ("migrated_bytes", "Migrated, by the applications", "bytes"),
    ("migrated_wire_bytes", "Migrated, on the wire", "bytes"),
    ("peak_uplink_mbps", "Peak uplink of an edge server", "Mbit/s"),
    ("peak_downlink_mbps", "Peak downlink of an edge server", "Mbit/s"),
    ("servers_under_100mbps_share", "Edge servers under 100 Mbit/s", "%"),
)

_LEFT_OUT = ("addresses", "switch_ports", "table_misses")  # a row a node or port
_BUSIEST = 10  # servers whose peaks are listed
_LONGEST = 300  # characters of a value; the files beside the report have it whole


def write_report(folder: RunFolder) -> Path:
    """Write a run's report.html from its documents and figures; return its path."""
    summary, manifest = folder.read_json("summary"), folder.read_json("manifest")
    paths = sorted(path for path in folder.path.rglob("*") if path.is_file())
    page = _template().render(
        title=f"{folder.path.parent.name} {folder.path.name}",
        verdict=summary["fidelity"],
        meaning=_VERDICTS.get(summary["fidelity"], ""),
        fidelity=folder.read_json("fidelity"),
        summary=[(label, _figure(summary.get(key), unit)) for key, label, unit in _SUMMARY],
        **_backhaul(folder),
        worth=worth_lines(folder.read_json("worth")) if folder.has_json("worth") else [],
        agreement=_agreement(folder) if folder.has_json("agreement") else None,
        tolerance=f"{HIT_TOLERANCE:.0%}",
        comparison=COMPARISON,
        manifest={key: value for key, value in manifest.items() if key not in _LEFT_OUT},
        captions=CAPTIONS,
        png=lambda name: _png(folder.figures / f"{name}.png"),
        config=folder.read_json("config"),
        files=[(path.relative_to(folder.path), format_size(path.stat().st_size)) for path in paths],
    )
    with written_whole(folder.report) as file:
        file.write_text(page, encoding="utf-8")
    return folder.report


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__), autoescape=True, trim_blocks=True
    )
    environment.filters["flat"] = _flat
    return environment.get_template("report.html.j2")


def _backhaul(folder: RunFolder) -> dict[str, Any]:
    """Return which servers need fibre, and how far the captured traffic is confirmed."""
    schedule = folder.read_schedule()
    names = [each.name for each in schedule.access_points]
    peak = crowding.peaks(read_table(folder.path, "backhaul"), names)
    highest = crowding.busiest(peak)
    shown = peak.loc[highest[highest > 0].index[:_BUSIEST]]
    reconciliation, witness = (
        read_table(folder.path, name) if has_table(folder.path, name) else None
        for name in ("reconciliation", "witness")
    )
    return {
        "fibre": _fibre(folder, peak, schedule.interval_s),
        "interval_s": schedule.interval_s,
        "busiest": [(name, [f"{rate:.1f}" for rate in rates]) for name, rates in shown.iterrows()],
        "checks": checks(reconciliation, witness),
    }


def _fibre(folder: RunFolder, peak: pd.DataFrame, interval_s: float) -> str:
    """Return which servers a wireless link would not do for, or did not."""
    backhaul = folder.read_json("config").get("backhaul", {})
    wireless_bps, fibre = backhaul.get("wireless_bps"), backhaul.get("fibre", [])
    over = f" over an interval of {interval_s:g} s"
    if wireless_bps is None:
        names = crowding.in_need_of_fibre(peak)
        said = f"{len(names)} of {len(peak)} edge servers need fibre"
        said += f", with peaks of {crowding.CROWDED_MBPS:g} Mbit/s or more{over}"
    else:
        names = crowding.with_full_links(peak, wireless_bps, fibre)
        said = f"{len(fibre)} edge servers are on fibre, {len(names)} of the others filled"
        said += f" their wireless link ({wireless_bps / 1e6:g} Mbit/s){over}"
    return said + (": " + ", ".join(names) if names else "") + "."


def _agreement(folder: RunFolder) -> dict[str, Any]:
    """Return how the run agrees with the simulation of the same."""
    found = folder.read_json("agreement")
    meaning = {key: (text, unit) for key, text, unit in TOTALS}
    rows = []
    for row in found["totals"]:
        text, unit = meaning[row["key"]]
        difference = "" if row["difference"] is None else f"{row['difference']:+.1%}"
        engines = (_figure(row[engine], unit) for engine in ("emulated", "simulated"))
        rows.append((text, [*engines, difference]))
    return found | {"share": f"{found['agreeing_handovers_share']:.1%}", "rows": rows}


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit == "bytes":
        return format_size(value)
    if unit == "%":
        return f"{value:.1%}"
    number = str(value) if isinstance(value, int) else f"{value:.3g}"
    return f"{number} {unit}".strip()


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Yield a document's values with their dotted names; lists as JSON, long ones cut."""
    for key, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, float):
            yield f"{prefix}{key}", f"{value:.0f}" if value.is_integer() else f"{value:.4g}"
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            cut = f"{text[:_LONGEST]} ... ({len(value)} in all)" if len(text) > _LONGEST else text
            yield f"{prefix}{key}", cut


def _png(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode() if path.is_file() else ""
