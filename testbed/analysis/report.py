"""report.html: a run on one plain page that needs nothing but itself."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from testbed.analysis.checks import checks
from testbed.analysis.comparison import HIT_TOLERANCE, TOTALS
from testbed.analysis.comparison_figure import NAME as COMPARISON
from testbed.analysis.crowding import (
    CROWDED_MBPS,
    busiest,
    in_need_of_fibre,
    peaks,
    with_full_links,
)
from testbed.analysis.figures import CAPTIONS
from testbed.files import written_whole
from testbed.records import has_table, read_table
from testbed.runfolder import RunFolder
from testbed.units import format_size

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
table { border-collapse: collapse; } td, th { text-align: left; vertical-align: top;
       padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #ddd; overflow-wrap: anywhere; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; } img { max-width: 100%; } figcaption { color: #555; }
.verdict { border-left: .5rem solid; padding: .5rem 1rem; }
.good { border-color: #009E73; } .degraded { border-color: #E69F00; }
.invalid { border-color: #D55E00; }
"""
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
    summary, fidelity = folder.read_json("summary"), folder.read_json("fidelity")
    title = f"{folder.path.parent.name} {folder.path.name}"
    parts = (
        f"<h1>{_text(title)}</h1>",
        _verdict(summary["fidelity"], fidelity),
        "<h2>Summary</h2>",
        _table(
            ((label, _figure(summary.get(key), unit)) for key, label, unit in _SUMMARY), "number"
        ),
        *_backhaul(folder),
        *_agreement(folder),
        "<h2>What was run</h2>",
        _table(_flat(_without(folder.read_json("manifest"), *_LEFT_OUT))),
        "<h2>Figures</h2>",
        *(_image(folder.figures / f"{name}.png", caption) for name, caption in CAPTIONS.items()),
        "<h2>Settings</h2>",
        _table(_flat(folder.read_json("config"))),
        "<h2>Files</h2>",
        _files(folder),
    )
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    with written_whole(folder.report) as file:
        file.write_text(page, encoding="utf-8")
    return folder.report


def _backhaul(folder: RunFolder) -> Iterable[str]:
    """Yield which servers need fibre, and how far the captured traffic is confirmed."""
    yield "<h2>Backhaul</h2>"
    schedule = folder.read_schedule()
    peak = peaks(
        read_table(folder.path, "backhaul"), [each.name for each in schedule.access_points]
    )
    yield f"<p>{_text(_fibre(folder, peak, schedule.interval_s))}</p>"
    yield from _busiest(peak, schedule.interval_s)
    reconciliation, witness = (
        read_table(folder.path, name) if has_table(folder.path, name) else None
        for name in ("reconciliation", "witness")
    )
    yield from (f"<p>{_text(line)}</p>" for line in checks(reconciliation, witness))


def _busiest(peak: pd.DataFrame, interval_s: float) -> Iterable[str]:
    """Yield a table of the servers with the highest peaks."""
    highest = busiest(peak)
    names = highest[highest > 0].index[:_BUSIEST]
    if not len(names):
        return
    rows = ((str(name), [f"{rate:.1f}" for rate in peak.loc[name]]) for name in names)
    yield _figure_table((f"Peaks over {interval_s:g} s, Mbit/s", "Uplink", "Downlink"), rows)


def _fibre(folder: RunFolder, peak: pd.DataFrame, interval_s: float) -> str:
    """Return which servers a wireless link would not do for, or did not."""
    backhaul = folder.read_json("config").get("backhaul", {})
    wireless_bps, fibre = backhaul.get("wireless_bps"), backhaul.get("fibre", [])
    over = f" over an interval of {interval_s:g} s"
    if wireless_bps is None:
        names = in_need_of_fibre(peak)
        said = f"{len(names)} of {len(peak)} edge servers need fibre"
        said += f", with peaks of {CROWDED_MBPS:g} Mbit/s or more{over}"
    else:
        names = with_full_links(peak, wireless_bps, fibre)
        said = f"{len(fibre)} edge servers are on fibre, {len(names)} of the others filled"
        said += f" their wireless link ({wireless_bps / 1e6:g} Mbit/s){over}"
    return said + (": " + ", ".join(names) if names else "") + "."


def _without(document: Mapping[str, Any], *left_out: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in left_out}


def _agreement(folder: RunFolder) -> Iterable[str]:
    """Yield how the run agrees with the simulation of the same, where that was made."""
    if not folder.has_json("agreement"):
        return
    found = folder.read_json("agreement")
    yield "<h2>Beside the simulator</h2>"
    yield (
        "<p>The same movement and settings in virtual time:"
        f" {found['agreeing_handovers_share']:.1%} of the handovers find the same layers, to"
        f" {HIT_TOLERANCE:.0%} of those wanted.</p>"
    )
    meaning = {key: (text, unit) for key, text, unit in TOTALS}
    rows = []
    for row in found["totals"]:
        text, unit = meaning[row["key"]]
        cells = [_figure(row[engine], unit) for engine in ("emulated", "simulated")]
        difference = row["difference"]
        cells.append("" if difference is None else f"{difference:+.1%}")
        rows.append((text, cells))
    yield _figure_table(("", "Emulated", "Simulated", "Difference"), rows)
    yield from (f"<p>{_text(line)}</p>" for line in found["disagreements"])
    yield _image(folder.figures / f"{COMPARISON}.png", "Each stay at a server, in both engines")


def _text(value: object) -> str:
    return html.escape(str(value))


def _verdict(verdict: str, fidelity: Mapping[str, Any]) -> str:
    meaning = _VERDICTS.get(verdict, "")
    details = _table(_flat(fidelity))
    said = "".join(f"<li>{_text(reason)}</li>" for reason in fidelity.get("reasons", ()))
    reasons = f"<ul>{said}</ul>" if said else ""
    return (
        f'<div class="verdict {_text(verdict)}"><strong>Fidelity: {_text(verdict)}.</strong>'
        f" {_text(meaning)}{reasons}"
        f"<details><summary>Measurements</summary>{details}</details></div>"
    )


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


def _table(rows: Iterable[tuple[str, str]], css_class: str = "") -> str:
    cells = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td class="{css_class}">{_text(value)}</td></tr>'
        for name, value in rows
    )
    return f"<table>{cells}</table>"


def _figure_table(columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return a table with a head, whose rows are a name and figures."""
    head = "".join(f"<th>{_text(column)}</th>" for column in columns)
    lines = []
    for name, cells in rows:
        numbers = "".join(f'<td class="number">{_text(cell)}</td>' for cell in cells)
        lines.append(f'<tr><th scope="row">{_text(name)}</th>{numbers}</tr>')
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def _image(path: Path, caption: str) -> str:
    if not path.is_file():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{_text(caption)}">'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _files(folder: RunFolder) -> str:
    paths = sorted(path for path in folder.path.rglob("*") if path.is_file())
    return _table(
        (path.relative_to(folder.path).as_posix(), format_size(path.stat().st_size))
        for path in paths
    )
