"""A run in a few figures: summary.json."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from testbed.analysis.executions import computed_share
from testbed.analysis.traffic.crowding import peaks, share_under
from testbed.output import print_json
from testbed.runs.folder import RunFolder
from testbed.settings.units import format_size

Tables = Mapping[str, pd.DataFrame]
"""A run's tables by name."""

#: The fidelity of a simulation: virtual time waits for everything.
NOT_APPLICABLE = "not applicable"


def summarise(
    tables: Mapping[str, pd.DataFrame], servers: Collection[str], fidelity: str
) -> dict[str, Any]:
    """Return the figures of summary.json (`docs/run-folder.md` has their meaning).

    `servers` are all access points of the run, idle ones included; `fidelity` is the verdict.
    A figure that the run does not define is None.
    """
    return {
        **_handovers(tables["handovers"]),
        **_queries(tables["queries"]),
        **_traffic(tables["transfers"], tables["backhaul"], servers),
        "mean_prediction_error_m": _number(tables["predictions"]["error_m"].mean()),
        "fidelity": fidelity,
    }


def print_summary(folder: RunFolder) -> None:
    """Print a run's summary as JSON, if it came so far."""
    if folder.has_json("summary"):
        print_json({"rows": [folder.read_json("summary")]})


def lines(summary: Mapping[str, Any], reasons: Sequence[str], folder: Path) -> list[str]:
    """Return what a run's end tells people: `reasons` are those of the fidelity's verdict."""
    migrated, wire = summary["migrated_bytes"], summary["migrated_wire_bytes"]
    ratio = "-" if summary["hit_ratio"] is None else f"{summary['hit_ratio']:.0%}"
    up_mbps, down_mbps = summary["peak_uplink_mbps"], summary["peak_downlink_mbps"]
    return [
        f"{summary['queries']} queries, median {milliseconds(summary['median_latency_s'])}, "
        f"95th percentile {milliseconds(summary['p95_latency_s'])}; "
        f"{summary['cold_start_queries']} in cold starts, {summary['failed_queries']} failed",
        f"{summary['handovers']} handovers: {summary['hits']} hits, {summary['misses']} misses "
        f"(hit ratio {ratio}); median gap {milliseconds(summary['median_handover_gap_s'])}",
        f"{format_size(migrated)} of layers migrated, {format_size(wire)} with headers on the "
        f"backhaul; busiest server {up_mbps:.0f} Mbit/s up, "
        f"{down_mbps:.0f} Mbit/s down over an interval",
        *_computed(summary),
        "; ".join([f"fidelity: {summary['fidelity']}", *reasons]),
        f"files: {folder}  (start with report.html)",
    ]


def _computed(summary: Mapping[str, Any]) -> list[str]:
    """Return what was computed; nothing for a simulation, which computes nothing."""
    if summary["fidelity"] == NOT_APPLICABLE:
        return []
    return [
        f"{summary['computed_share']:.0%} of the queries were computed in PyTorch, every layer, "
        "from the tensors and weights that came over the sockets"
    ]


def executed_lines(manifest: Mapping[str, Any], fidelity: Mapping[str, Any]) -> list[str]:
    """Return where and how precisely layers were executed, where that is not the usual way."""
    device, precision = manifest.get("device", "cpu"), manifest.get("precision", "float32")
    if (device, precision) == ("cpu", "float32"):
        return []
    said = f"edge servers executed on {device}, all in {precision}, compared within"
    found = [f"{said} {manifest['tolerance']}"]
    if kernels := fidelity.get("gpu_kernel_utilisation"):
        used = fidelity.get("gpu_memory_used_bytes") or {"max": 0}
        found.append(
            f"the GPU's kernels ran {kernels['mean']:.0%} of the time, {kernels['max']:.0%} of the"
            f" busiest second; at most {format_size(used['max'])} of its memory were in use"
        )
    return found


def moves(handovers: pd.DataFrame) -> pd.DataFrame:
    """Return the handovers proper: first attachments come from no access point."""
    return handovers[handovers["from_ap"].notna()]


def queries_after_changes(handovers: pd.DataFrame, queries: pd.DataFrame, interval_s: float) -> int:
    """Return how many queries were raised in the interval after each change of server.

    One in the intervals after two changes counts twice. Whole days have too many pairs of a query
    and a change to look at each: queries are found by their times.
    """
    raised_s = {
        client: np.sort(times_s.to_numpy(float))
        for client, times_s in queries.groupby("client", observed=True)["raised_s"]
    }
    nothing = np.empty(0)
    count = 0
    for client, times_s in moves(handovers).groupby("client", observed=True)["trace_s"]:
        moved_s, of_client_s = times_s.to_numpy(float), raised_s.get(client, nothing)
        first, end = np.searchsorted(of_client_s, [moved_s, moved_s + interval_s])
        count += int((end - first).sum())
    return count


def _handovers(handovers: pd.DataFrame) -> dict[str, Any]:
    moved = moves(handovers)
    return {
        "hit_ratio": _number(moved["hit"].mean()),
        "handovers": len(moved),
        "hits": int(moved["hit"].sum()),
        "misses": int((~moved["hit"]).sum()),
        "median_handover_gap_s": _number((moved["first_byte_s"] - moved["trace_s"]).median()),
    }


def _queries(queries: pd.DataFrame) -> dict[str, Any]:
    return {
        "queries": len(queries),
        "cold_start_queries": int(queries["cold_start"].sum()),
        "computed_share": computed_share(queries),
        "failed_queries": int((queries["outcome"] == "fallback").sum()),
        "median_latency_s": _number(queries["latency_s"].median()),
        "p95_latency_s": _number(queries["latency_s"].quantile(0.95)),
    }


def _traffic(
    transfers: pd.DataFrame, backhaul: pd.DataFrame, servers: Collection[str]
) -> dict[str, Any]:
    migrated = transfers["cause"] == "migration"
    # Every migration frame leaves exactly one server, so the uplinks hold each once.
    on_wire = (backhaul["cause"] == "migration") & (backhaul["direction"] == "uplink")
    peak = peaks(backhaul, servers)
    return {
        "migrated_bytes": int(transfers.loc[migrated, "bytes"].sum()),
        "migrated_wire_bytes": int(backhaul.loc[on_wire, "bytes"].sum()),
        "peak_uplink_mbps": _number(peak["uplink"].max()),
        "peak_downlink_mbps": _number(peak["downlink"].max()),
        "servers_under_100mbps_share": share_under(peak),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def milliseconds(seconds: float | None) -> str:
    """Return a time for people; "-" for none."""
    return "-" if seconds is None else f"{seconds * 1e3:.0f} ms"
