"""The same window of the same trace in both engines: where they agree, and where not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from testbed.analysis.summary import moves
from testbed.errors import ConfigurationError
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_tables

#: On sockets a hit may be a miss for want of the last bytes, and the other way round: both engines
#: agree on a handover where the bytes present differ by no more than this share of those wanted.
HIT_TOLERANCE = 0.05
#: By how much totals may differ.
TOTAL_TOLERANCE = 0.03

#: Totals that are compared: key, meaning, unit.
TOTALS = (
    ("queries", "Queries answered", ""),
    ("cold_start_queries", "Queries in cold starts", ""),
    ("median_latency_s", "Query time, median", "s"),
    ("hits", "Hits", ""),
    ("present_bytes", "Layers present at handovers", "bytes"),
    ("migrated_bytes", "Layers migrated", "bytes"),
    ("migrated_wire_bytes", "The same with headers", "bytes"),
    ("uploaded_bytes", "Layers uploaded", "bytes"),
    ("peak_uplink_mbps", "Peak uplink of a server", "Mbit/s"),
    ("peak_downlink_mbps", "Peak downlink of a server", "Mbit/s"),
)

_BOTH = ("emulated", "simulated")
_SAME = ("traces", "replay", "wireless", "backhaul", "model", "migration", "server")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two runs side by side."""

    #: A row for each of `TOTALS`: key, emulated, simulated, difference (simulated less emulated as
    #: a share of emulated; None where that is nothing).
    totals: pd.DataFrame
    #: A row for each handover and first attachment: client, from_ap, to_ap, trace_s, and of both
    #: engines (`_emulated`, `_simulated`) hit, present_bytes, queries raised until the client left,
    #: upload_s and upload_bytes; `agrees` on the layers present.
    stays: pd.DataFrame

    def content(self) -> dict[str, Any]:
        """Return it ready for JSON; differences are shares of the emulated figure."""
        return {
            "totals": json.loads(self.totals.to_json(orient="records")),
            "agreeing_handovers_share": self.agreeing_share,
            "disagreements": self.disagreements,
            "handovers": json.loads(self.stays.to_json(orient="records")),
        }

    @property
    def agreeing_share(self) -> float:
        """Share of the handovers at which the layers present agree."""
        moved = moves(self.stays)
        return float(moved["agrees"].mean()) if len(moved) else 1.0

    @property
    def disagreements(self) -> list[str]:
        """What differs by more than it may: handovers, queries, migrated and uploaded bytes."""
        found, moved = [], moves(self.stays)
        if apart := int((~moved["agrees"]).sum()):
            found.append(
                f"{apart} of {len(moved)} handovers: the layers present differ by more than"
                f" {HIT_TOLERANCE:.0%} of those wanted"
            )
        totals = self.totals.set_index("key")
        for key in ("queries", "migrated_bytes", "uploaded_bytes"):
            emulated, simulated, difference = totals.loc[key]
            if difference is not None and abs(difference) > TOTAL_TOLERANCE:
                found.append(f"{key}: {difference:+.1%}, more than {TOTAL_TOLERANCE:.0%}")
            elif not emulated and simulated:
                found.append(f"{key}: none emulated, {simulated:g} simulated")
        return found


def compare_runs(emulated: RunFolder, simulated: RunFolder) -> Comparison:
    """Compare an emulated run with the simulation of the same.

    Raise ConfigurationError if the runs are not of the two engines, or not of the same movement and
    settings; TestbedError if a folder lacks what a run writes.
    """
    folders = dict(zip(_BOTH, (emulated, simulated), strict=True))
    _check_same(folders)
    tables = {engine: read_tables(folder.path) for engine, folder in folders.items()}
    stays = _stays(tables, emulated.read_schedule().duration_s)
    figures = (
        folder.read_json("summary") | _bytes(tables[engine]) for engine, folder in folders.items()
    )
    return Comparison(_totals(*figures), stays)


def _check_same(folders: Mapping[str, RunFolder]) -> None:
    configs = {engine: folder.read_json("config") for engine, folder in folders.items()}
    for folder in folders.values():
        if (status := folder.read_json("manifest")["status"]) != "complete":
            raise ConfigurationError(f"{folder.path}: the run is {status}; compare complete ones")
    for engine, wanted in zip(_BOTH, ("emulate", "simulate"), strict=True):
        if configs[engine]["engine"] != wanted:
            raise ConfigurationError(f"{folders[engine].path}: is no {engine} run")
    apart = [
        f"{section}.{name}"
        for section in _SAME
        for name, value in configs["emulated"][section].items()
        if configs["simulated"][section].get(name) != value
    ]
    schedules = [folder.read_schedule() for folder in folders.values()]
    if apart or schedules[0] != schedules[1]:
        differ = ", ".join(apart) or "their movement"
        raise ConfigurationError(f"the two runs cannot be compared: {differ} differ")


def _bytes(tables: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    handovers, transfers = tables["handovers"], tables["transfers"]
    return {
        "present_bytes": float(handovers["present_bytes"].sum()),
        "uploaded_bytes": float(transfers.loc[transfers["cause"] == "upload", "bytes"].sum()),
    }


def _totals(emulated: Mapping[str, Any], simulated: Mapping[str, Any]) -> pd.DataFrame:
    rows = []
    for key, _, _ in TOTALS:
        before, after = emulated[key], simulated[key]
        known = before and after is not None
        rows.append((key, before, after, after / before - 1 if known else None))
    columns = ["key", "emulated", "simulated", "difference"]
    return pd.DataFrame(rows, columns=columns).astype({"difference": object})


def _stays(tables: Mapping[str, Mapping[str, pd.DataFrame]], duration_s: float) -> pd.DataFrame:
    emulated, simulated = (_stays_of(tables[engine], duration_s) for engine in _BOTH)
    keys, suffixes = ["client", "to_ap", "trace_s"], ("_emulated", "_simulated")
    simulated = simulated.drop(columns="wanted_bytes")
    merged = emulated.merge(simulated, on=keys, how="outer", suffixes=suffixes)
    merged["from_ap"] = merged.pop("from_ap_emulated").fillna(merged.pop("from_ap_simulated"))
    apart = (merged["present_bytes_emulated"] - merged["present_bytes_simulated"]).abs()
    merged["agrees"] = apart <= HIT_TOLERANCE * merged["wanted_bytes"]
    return merged.sort_values(["trace_s", "client"], ignore_index=True)


def _stays_of(tables: Mapping[str, pd.DataFrame], duration_s: float) -> pd.DataFrame:
    """Return what came of each attachment in one engine."""
    columns = ["client", "from_ap", "to_ap", "trace_s", "hit", "present_bytes", "wanted_bytes"]
    stays = tables["handovers"][columns].sort_values(["client", "trace_s"], ignore_index=True)
    ends_s = stays.groupby("client")["trace_s"].shift(-1).fillna(duration_s)
    uploads = tables["transfers"][tables["transfers"]["cause"] == "upload"]
    queries, upload_s, upload_bytes = [], [], []
    for stay, end_s in zip(stays.itertuples(), ends_s, strict=True):
        own = tables["queries"].loc[tables["queries"]["client"] == stay.client, "raised_s"]
        queries.append(int(own.between(stay.trace_s, end_s, inclusive="left").sum()))
        there = (uploads["client"] == stay.client) & (uploads["destination"] == stay.to_ap)
        then = uploads["started_s"].between(stay.trace_s, end_s, inclusive="left")
        sent = uploads[there & then]
        upload_s.append(float((sent["ended_s"] - sent["started_s"]).sum()))
        upload_bytes.append(int(sent["bytes"].sum()))
    found = stays.assign(queries=queries, upload_s=upload_s, upload_bytes=upload_bytes)
    return found.astype({"queries": "int64", "upload_bytes": "int64"})
