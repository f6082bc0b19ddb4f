"""Traffic of the edge servers' backhaul links, from captures: by interval, direction and cause.

Sizes are bytes of Ethernet frames as `PacketBatch.wire_bytes` defines them. A server's *uplink*
is what it sends into the backhaul, its *downlink* what it receives. A frame between two servers
is in the uplink of one and the downlink of the other.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.framing import Int64s
from testbed.analysis.pcap import OUTBOUND, Capture, PacketBatch
from testbed.errors import CaptureError
from testbed.protocol import PORTS
from testbed.records import read_table
from testbed.runfolder import RunFolder

CAUSE_OF_PORT = {port: cause for cause, port in PORTS.items()}
CAUSES = (*PORTS, "other")
DIRECTIONS = ("uplink", "downlink")
KEYS = ["server", "interval", "direction", "cause"]
CROWDED_MBPS = 100.0  # section IV.D: "less than 100 Mbps"
CROWDED_SHARE = 0.07  # section IV.B.5: 5 to 7 % of the servers, and 24 of KAIST's 357


@dataclass(frozen=True)
class Traffic:
    """A server's side of some captured packets, as columns of shape (n,)."""

    server: NDArray[np.object_]  # names, (n_servers,)
    server_code: Int64s  # index into server
    direction_code: Int64s  # index into DIRECTIONS
    packets: PacketBatch
    row: Int64s  # which of the packets


def server_traffic(captures: Iterable[Capture], servers: Collection[str]) -> Iterator[Traffic]:
    """Yield a run's traffic: captures whose interfaces are named after `servers`."""
    for capture in captures:
        for packets in capture:
            names = capture.names()
            known = np.isin(names, list(servers))[packets.interface] & (packets.direction > 0)
            row = np.flatnonzero(known)
            direction = np.where(packets.direction[row] == OUTBOUND, 0, 1)
            yield Traffic(names, packets.interface[row], direction, packets, row)


def address_traffic(captures: Iterable[Capture]) -> Iterator[Traffic]:
    """Yield the traffic of any capture; its IPv4 addresses count as servers."""
    for capture in captures:
        for packets in capture:
            row = np.flatnonzero((packets.src > 0) | (packets.dst > 0))
            ends = np.concatenate([packets.src[row], packets.dst[row]])
            addresses, code = np.unique(ends, return_inverse=True)
            names = np.array([str(ipaddress.IPv4Address(int(each))) for each in addresses])
            direction = np.repeat([0, 1], len(row))
            yield Traffic(names.astype(object), code, direction, packets, np.tile(row, 2))


def backhaul_table(
    traffic: Iterable[Traffic],
    *,
    origin_unix_s: float,
    tdf: float,
    interval_s: float,
    duration_s: float,
    cause_of_port: Mapping[int, str] = CAUSE_OF_PORT,
) -> pd.DataFrame:
    """Return bytes, Mbit/s and packets by server, interval, direction and cause.

    Capture time t is emulated time (t - `origin_unix_s`) / `tdf`; `interval_s` and `duration_s`
    are emulated seconds, and packets outside [0, duration) are not the run's. Rates are of
    emulated time; the last interval may be shorter and its rate is over its real length.
    Combinations without a packet have no row.
    """
    parts = []
    for each in traffic:
        time_s = (each.packets.time_ns[each.row] - round(origin_unix_s * 1e9)) / 1e9 / tdf
        inside = (time_s >= 0) & (time_s < duration_s)
        interval = (time_s[inside] // interval_s).astype(np.int64)
        parts.append(_count(each, inside, interval, cause_of_port))
    table = _sum(parts, KEYS, ["bytes", "packets"])
    length_s = np.minimum(interval_s, duration_s - table["interval"] * interval_s)
    table.insert(5, "mbps", table["bytes"] * 8 / length_s / 1e6)
    return table


def _count(
    traffic: Traffic,
    inside: NDArray[np.bool_],
    interval: Int64s,
    cause_of_port: Mapping[int, str],
) -> pd.DataFrame:
    """Sum one batch: one number codes server, interval, direction and cause of a packet."""
    if not len(interval):
        return pd.DataFrame(columns=[*KEYS, "bytes", "packets"])
    row = traffic.row[inside]
    cause = cause_codes(traffic.packets, cause_of_port)[row]
    first = interval.min()
    shape = (len(traffic.server), int(interval.max() - first) + 1, len(DIRECTIONS), len(CAUSES))
    coordinates = (
        traffic.server_code[inside],
        interval - first,
        traffic.direction_code[inside],
        cause,
    )
    code, inverse = np.unique(np.ravel_multi_index(coordinates, shape), return_inverse=True)
    server, step, direction, cause = np.unravel_index(code, shape)
    wire_bytes = traffic.packets.wire_bytes()[row]
    return pd.DataFrame(
        {
            "server": traffic.server[server],
            "interval": step + first,
            "direction": np.array(DIRECTIONS, dtype=object)[direction],
            "cause": np.array(CAUSES, dtype=object)[cause],
            "bytes": np.bincount(inverse, wire_bytes).astype(np.int64),
            "packets": np.bincount(inverse),
        }
    )


def cause_codes(packets: PacketBatch, cause_of_port: Mapping[int, str]) -> Int64s:
    """Return each packet's index into CAUSES, by either of its ports."""
    code_of_port = np.full(65536, len(CAUSES) - 1)
    for port, cause in cause_of_port.items():
        code_of_port[port] = CAUSES.index(cause)
    # The testbed's ports are listened on, so at most one end of a connection has one.
    return np.minimum(code_of_port[packets.src_port], code_of_port[packets.dst_port])


def _sum(parts: Sequence[pd.DataFrame], keys: list[str], values: list[str]) -> pd.DataFrame:
    whole = [part for part in parts if len(part)]
    if not whole:
        return pd.DataFrame({name: [] for name in [*keys, *values]}).astype(
            {"interval": "int64", **dict.fromkeys(values, "int64")}
        )
    return pd.concat(whole).groupby(keys, as_index=False)[values].sum()


def peaks(table: pd.DataFrame, servers: Collection[str]) -> pd.DataFrame:
    """Return each server's highest rate over its intervals, Mbit/s: columns uplink, downlink."""
    rates = table.groupby(["server", "direction", "interval"])["mbps"].sum()
    highest = rates.groupby(["server", "direction"]).max().unstack("direction")
    return highest.reindex(index=list(servers), columns=list(DIRECTIONS)).fillna(0.0)


def share_under(peak: pd.DataFrame, limit_mbps: float = CROWDED_MBPS) -> float | None:
    """Return the share of servers whose peaks in both directions are under the limit."""
    return float((peak.max(axis="columns") < limit_mbps).mean()) if len(peak) else None


def crowded_servers(folder: RunFolder) -> list[str]:
    """Return `most_crowded` of a run; TestbedError if the run has no backhaul table."""
    servers = [each.name for each in folder.read_schedule().access_points]
    return most_crowded(read_table(folder.path, "backhaul"), servers)


def busiest_interval(backhaul: pd.DataFrame) -> tuple[int, str] | None:
    """Return the interval of the highest uplink of all and whose it is; None if nothing is sent.

    Of equal ones it is the earliest.
    """
    sent = backhaul[backhaul["direction"] == "uplink"]
    if sent.empty:
        return None
    interval, server = sent.groupby(["interval", "server"])["mbps"].sum().idxmax()
    return int(interval), str(server)


def most_crowded(
    backhaul: pd.DataFrame, servers: Sequence[str], interval: int | None = None
) -> list[str]:
    """Return the servers with the highest peak uplinks, the most crowded first.

    They are `CROWDED_SHARE` of all servers, and at least one, but none that sent nothing. With an
    interval, what they sent in that one counts.
    """
    if interval is not None:
        backhaul = backhaul[backhaul["interval"] == interval]
    uplink = peaks(backhaul, servers)["uplink"]
    number = max(1, int(len(servers) * CROWDED_SHARE))
    return [str(server) for server in uplink[uplink > 0].nlargest(number).index]


def analyze_capture(paths: Sequence[Path], interval_s: float) -> dict[str, Any]:
    """Return backhaul traffic, peaks and totals of bare captures, ready to be printed as JSON.

    Servers are IPv4 addresses and time starts at the first packet's whole second. Raises
    CaptureError for a file that is no capture, or of which nothing can be read.
    """
    captures = [Capture(path) for path in paths]
    totals = {"packets": 0, "bytes": 0}
    first_ns, last_ns = _time_span(captures, totals)
    origin_s = first_ns // 10**9
    intervals = (last_ns / 1e9 - origin_s) // interval_s + 1
    table = backhaul_table(
        address_traffic(captures),
        origin_unix_s=origin_s,
        tdf=1.0,
        interval_s=interval_s,
        duration_s=intervals * interval_s,
    )
    return _figures(table, table["server"].unique(), interval_s, totals, captures)


def analyze_run(folder: RunFolder, interval_s: float) -> dict[str, Any]:
    """Return the same of a run's captures, with its edge servers and its emulated time."""
    captures = run_captures(folder)
    totals = {"packets": 0, "bytes": 0}
    _time_span(captures, totals)
    servers = [each.name for each in folder.read_schedule().access_points]
    table = run_backhaul_table(folder, interval_s)
    return _figures(table, servers, interval_s, totals, captures)


def run_captures(folder: RunFolder) -> list[Capture]:
    """Return the captures of a run folder; CaptureError when it has none."""
    paths = sorted(folder.pcap.glob("*.pcapng"))
    if not paths:
        raise CaptureError(f"{folder.pcap}: holds no captures (*.pcapng)")
    return [Capture(path) for path in paths]


def run_backhaul_table(folder: RunFolder, interval_s: float) -> pd.DataFrame:
    """Return `backhaul_table` of a run, with the clock that its manifest records."""
    manifest, schedule = folder.read_json("manifest"), folder.read_schedule()
    return backhaul_table(
        server_traffic(run_captures(folder), [each.name for each in schedule.access_points]),
        origin_unix_s=manifest["origin_unix_s"],
        tdf=manifest["tdf"],
        interval_s=interval_s,
        duration_s=schedule.duration_s,
    )


def _time_span(captures: Sequence[Capture], totals: dict[str, int]) -> tuple[int, int]:
    """Add up packets and original bytes of all frames; return first and last time, ns."""
    first_ns, last_ns = [], []
    for capture in captures:
        packets_before = totals["packets"]
        for packets in capture:
            totals["packets"] += len(packets)
            totals["bytes"] += int(packets.original_bytes.sum())
            first_ns.append(int(packets.time_ns.min()))
            last_ns.append(int(packets.time_ns.max()))
        if capture.unread_bytes and totals["packets"] == packets_before:
            raise CaptureError(
                f"{capture.path}: no packet can be read in {capture.unread_bytes} bytes"
            )
    return min(first_ns, default=0), max(last_ns, default=0)


def _figures(
    table: pd.DataFrame,
    servers: Collection[str],
    interval_s: float,
    totals: dict[str, int],
    captures: Sequence[Capture],
) -> dict[str, Any]:
    peak = peaks(table, servers)
    return {
        "interval_s": interval_s,
        "totals": totals,
        "unread_bytes": {str(each.path): each.unread_bytes for each in captures},
        "servers": {server: peak.loc[server].to_dict() for server in peak.index},
        "peak_uplink_mbps": float(peak["uplink"].max()) if len(peak) else 0.0,
        "peak_downlink_mbps": float(peak["downlink"].max()) if len(peak) else 0.0,
        "servers_under_100mbps_share": share_under(peak),
        "intervals": table.to_dict(orient="records"),
    }
