"""Captures analysed in one pass: traffic by interval and cause, flows, peaks, and damage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import pandas as pd

from testbed.analysis.captures.capture_file import CaptureFile, PacketBatch
from testbed.analysis.captures.damage import CaptureReading, counted_twice
from testbed.analysis.traffic.confirmation import contradictions
from testbed.analysis.traffic.crowding import most_crowded, peaks, share_under
from testbed.analysis.traffic.flows import FlowTally
from testbed.analysis.traffic.reconciliation import reconcile
from testbed.analysis.traffic.server_traffic import (
    BackhaulTally,
    Traffic,
    address_sides,
    server_sides,
)
from testbed.analysis.traffic.witness import compare_witnesses
from testbed.decision.policy import CLOUD
from testbed.errors import CaptureError, ConfigurationError, TestbedError
from testbed.runs.folder import RunFolder
from testbed.runs.records import has_table, read_table


@dataclass
class TrafficAnalysis:
    """What captures hold.

    `packets` and `captured_bytes` count all of them, at the lengths that the captures state.
    `names` are those of nodes, by address, as a run or its captures tell them.
    `backhaul` and `flows` are the tables of those names, `reconciliation` and `witness` those of a
    run; `problems` say in people's words what could not be read.
    """

    interval_s: float
    origin_unix_s: float
    packets: int = 0
    captured_bytes: int = 0
    backhaul: pd.DataFrame = field(default_factory=pd.DataFrame)
    flows: pd.DataFrame = field(default_factory=pd.DataFrame)
    reconciliation: pd.DataFrame | None = None
    witness: pd.DataFrame | None = None
    servers: Sequence[str] = ()
    names: dict[str, str] = field(default_factory=dict)
    unread_bytes: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def peaks(self) -> pd.DataFrame:
        """Return each server's peak rates, and whether it is among the most crowded."""
        peak = peaks(self.backhaul, self.servers)
        crowded = most_crowded(self.backhaul, list(self.servers))
        peak.index.name = "server"
        columns = {name: f"peak_{name}_mbps" for name in peak.columns}
        return peak.rename(columns=columns).assign(crowded=peak.index.isin(crowded)).reset_index()

    def share_under(self) -> float | None:
        """Return the share of servers under 100 Mbit/s; None without any."""
        return share_under(peaks(self.backhaul, self.servers))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return all tables by name."""
        found = {"backhaul": self.backhaul, "flows": self.flows, "servers": self.peaks()}
        return found | self._of_a_run()

    def figures(self) -> dict[str, Any]:
        """Return all of it, ready to be printed as JSON."""
        peak = peaks(self.backhaul, self.servers)
        content = {
            "interval_s": self.interval_s,
            "origin_unix_s": self.origin_unix_s,
            "totals": {"packets": self.packets, "bytes": self.captured_bytes},
            "unread_bytes": self.unread_bytes,
            "problems": self.problems,
            "names": self.names,
            "servers": {server: peak.loc[server].to_dict() for server in peak.index},
            "peak_uplink_mbps": float(peak["uplink"].max()) if len(peak) else 0.0,
            "peak_downlink_mbps": float(peak["downlink"].max()) if len(peak) else 0.0,
            "servers_under_100mbps_share": share_under(peak),
            "crowded": most_crowded(self.backhaul, list(self.servers)),
            "intervals": _rows(self.backhaul),
            "flows": _rows(self.flows),
        }
        return content | {name: _rows(table) for name, table in self._of_a_run().items()}

    def _of_a_run(self) -> dict[str, pd.DataFrame]:
        tables = {"reconciliation": self.reconciliation, "witness": self.witness}
        return {name: table for name, table in tables.items() if table is not None}


def analyze_capture(paths: Sequence[Path], interval_s: float) -> TrafficAnalysis:
    """Analyse bare captures: servers are IP addresses, time starts at the first packet's second.

    Raises CaptureError when nothing could be read of any of them.
    """
    captures = [CaptureFile(path) for path in paths]
    firsts = [first for capture in captures if (first := _first_ns(capture)) is not None]
    origin_ns = min(firsts, default=0) // 10**9 * 10**9
    tally = BackhaulTally(origin_ns=origin_ns, interval_s=interval_s)
    found = TrafficAnalysis(interval_s, origin_ns / 1e9)
    readings = [CaptureReading(capture) for capture in captures]

    def sides(capture: CaptureFile, packets: PacketBatch) -> Traffic:
        return address_sides(packets, capture.names(), capture.addresses)

    flows = _read(found, readings, sides, tally)
    _take_problems(found, readings)
    for capture in captures:
        found.names |= capture.description.names
    found.backhaul = tally.table()
    if len(found.backhaul) and (earlier := int(found.backhaul["interval"].min())) < 0:
        # Packets stand before the first one's second: the intervals are counted from theirs.
        found.backhaul["interval"] -= earlier
        found.origin_unix_s += earlier * interval_s
    found.servers = [str(each) for each in found.backhaul["server"].unique()]
    found.flows = _joined_flows(flows, round(found.origin_unix_s * 1e9), 1.0)
    return found


def analyze_run(folder: RunFolder, interval_s: float | None = None) -> TrafficAnalysis:
    """Analyse a run's captures, with its edge servers and its emulated time.

    The interval is the run's own unless another is named. A damaged table is a problem of the
    analysis, which goes on without it. Raise CaptureError if the run has no captures, or nothing in
    them could be read; ConfigurationError if it has no manifest or schedule, or not whole ones.
    """
    manifest, schedule = folder.read_json("manifest"), folder.read_schedule()
    readings = [CaptureReading(capture) for capture in _captures(folder, manifest)]
    clock = _clock(folder, manifest)
    interval_s = interval_s or schedule.interval_s
    servers = [each.name for each in schedule.access_points]
    origin_ns, tdf = round(clock.origin_unix_s * 1e9), clock.tdf
    tally = BackhaulTally(
        origin_ns=origin_ns, interval_s=interval_s, tdf=tdf, duration_s=schedule.duration_s
    )
    found = TrafficAnalysis(interval_s, clock.origin_unix_s, servers=servers)

    # The cloud is captured where it sends images
    captured = [*servers, *({CLOUD} & clock.addresses.keys())]

    def sides(capture: CaptureFile, packets: PacketBatch) -> Traffic:
        return server_sides(packets, capture.names(), captured)

    flows = _read(found, readings, sides, tally)
    _take_problems(found, readings, captured)
    found.backhaul = tally.table()
    found.flows = _joined_flows(flows, origin_ns, tdf)
    found.names = {address: name for name, address in clock.addresses.items()}
    if found.names and (transfers := _table(found, folder, "transfers")) is not None:
        found.reconciliation = reconcile(transfers, found.flows, found.names)
    has_counters = has_table(folder.path, "counters")
    if has_counters and (counters := _table(found, folder, "counters")) is not None:
        found.witness = compare_witnesses(found.flows, counters, servers)
    found.problems += contradictions(found.reconciliation, found.witness)
    return found


class _RunTimes(msgspec.Struct):
    """What a run's manifest says that its captures are read by."""

    origin_unix_s: Annotated[float, msgspec.Meta(ge=0, lt=1 << 33)]
    tdf: Annotated[float, msgspec.Meta(gt=0, le=1e6)]
    addresses: dict[str, str] = {}


def _clock(folder: RunFolder, manifest: Mapping[str, Any]) -> _RunTimes:
    if manifest.get("origin_unix_s", 0) is None:
        raise ConfigurationError(f"{folder.path}: the run ended before its clock started")
    try:
        return msgspec.convert(manifest, _RunTimes)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{folder.path / 'manifest.json'}: {error}") from error


def _table(found: TrafficAnalysis, folder: RunFolder, name: str) -> pd.DataFrame | None:
    try:
        return read_table(folder.path, name)
    except TestbedError as error:
        found.problems.append(str(error))
        return None


def _captures(folder: RunFolder, manifest: Mapping[str, Any]) -> list[CaptureFile]:
    if manifest.get("engine") == "simulate":
        raise CaptureError(
            f"{folder.path}: was simulated and has no captures; its traffic is in backhaul.parquet"
        )
    paths = sorted(path for path in folder.pcap.glob("*.pcapng") if path.is_file())
    if not paths:
        raise CaptureError(f"{folder.pcap}: holds no captures (*.pcapng)")
    return [CaptureFile(path) for path in paths]


def _first_ns(capture: CaptureFile) -> int | None:
    """Return when a capture begins; None if it holds no packet that can be read."""
    try:
        return next((int(packets.time_ns.min()) for packets in capture), None)
    except CaptureError:
        return None  # told when it is read


def _read(
    found: TrafficAnalysis,
    readings: Sequence[CaptureReading],
    sides: Callable[[CaptureFile, PacketBatch], Traffic],
    tally: BackhaulTally,
) -> list[FlowTally]:
    """Read each capture once into the tallies."""
    flows = []
    for reading in readings:
        capture, flow_tally = reading.capture, FlowTally(reading.capture)
        try:
            for packets in capture:
                reading.add(packets)
                found.captured_bytes += int(packets.original_bytes.sum())
                tally.add(sides(capture, packets))
                flow_tally.add(packets)
        except CaptureError as error:
            found.problems.append(str(error))
        found.packets += reading.packets
        flows.append(flow_tally)
    return flows


def _take_problems(
    found: TrafficAnalysis, readings: Sequence[CaptureReading], servers: Sequence[str] | None = None
) -> None:
    """Say what could not be read; CaptureError if nothing could be."""
    for reading in readings:
        found.unread_bytes[str(reading.capture.path)] = reading.capture.unread_bytes
        found.problems += reading.problems(servers)
    found.problems += counted_twice(readings, servers or ())
    if found.problems and not any(reading.understood for reading in readings):
        raise CaptureError(found.problems[0])


def _joined_flows(tallies: Sequence[FlowTally], origin_ns: int, tdf: float) -> pd.DataFrame:
    tables = [tally.table(origin_ns, tdf) for tally in tallies]
    if len(tables) == 1:
        return tables[0]
    several = pd.concat([table for table in tables if len(table)] or tables[:1])
    return several.sort_values("started_s", kind="stable", ignore_index=True)


def _rows(table: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Return a table's rows for JSON, null where there is no value."""
    content = table.astype(object).where(table.notna(), None)
    rows: list[Mapping[str, Any]] = content.replace({np.nan: None}).to_dict(orient="records")
    return rows
