"""Handovers on the clocks that time them: their interruptions, and packets at the wrong place."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.udp_probe import UdpProbe
from testbed.analysis.captures.capture_file import INBOUND, CaptureFile
from testbed.analysis.captures.pcapng_writer import to_pcapng


class TimedHandover(NamedTuple):
    """A handover and its clocks, on the monotonic clock."""

    client: str
    old: str
    new: str
    due_s: float
    moved_s: float
    routed_s: float


def figures(moves: list[TimedHandover], probe: UdpProbe) -> dict[str, Any]:
    """Return the interruptions and the clocks of handovers, in milliseconds."""
    gaps, firsts, unheard = [], [], 0
    for each in moves:
        found = probe.around(each.client, each.moved_s)
        if found is None:
            unheard += 1
            continue
        last_s, first_s = found
        gaps.append(first_s - last_s)
        firsts.append(first_s - each.due_s)
    lost = probe.sent - np.mean([len(its) for its in probe.arrivals.values()])
    clocks = {
        "interruption": gaps,
        "due_to_moved": [each.moved_s - each.due_s for each in moves],
        "due_to_routed": [each.routed_s - each.due_s for each in moves],
        "due_to_first": firsts,
    }
    return {
        "handovers": len(moves),
        "unheard": unheard,
        "lost_packets_a_client": float(lost),
        **{
            f"{name}_{what}_ms": float(np.percentile(values, share)) * 1e3 if values else None
            for name, values in clocks.items()
            for what, share in (("median", 50), ("p99", 99), ("max", 100))
        },
    }


def stray_packets(
    raws: Mapping[Path, Mapping[int, str]],
    folder: Path,
    moves: list[TimedHandover],
    addresses: Mapping[str, str],
    offset_s: float,
) -> dict[str, float]:
    """Count packets to clients at their old place after the barrier, and at no place of theirs."""
    to_pcapng(raws, folder / "all.pcapng")
    clients = {int(ipaddress.IPv4Address(address)): name for name, address in addresses.items()}
    moved: dict[str, list[TimedHandover]] = {}
    for each in moves:
        moved.setdefault(each.client, []).append(each)
    late_s, flooded, packets = [], 0, 0
    capture = CaptureFile(folder / "all.pcapng")
    for batch in capture:
        names = capture.names()[batch.interface]
        rows = np.flatnonzero((batch.direction == INBOUND) & np.isin(batch.dst, list(clients)))
        packets += len(rows)
        for row in rows:
            its = moved.get(clients[int(batch.dst[row])], [])
            at_s = batch.time_ns[row] / 1e9 - offset_s
            before = [each for each in its if each.due_s <= at_s]
            if not before:
                continue
            last = before[-1]
            if names[row] == last.old:
                if at_s > last.routed_s:
                    late_s.append(at_s - last.routed_s)
            elif names[row] != last.new:
                flooded += 1
    return {
        "packets": packets,
        "late_at_old_place": len(late_s),
        "latest_at_old_place_ms": max(late_s, default=0.0) * 1e3,
        "elsewhere": flooded,
    }
