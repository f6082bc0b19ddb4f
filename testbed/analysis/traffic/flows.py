"""Flows: who sent how much to whom, in how long, and how much of it more than once.

A flow is one direction of one connection (addresses, ports, protocol; a new SYN begins a new one)
as seen at one interface.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.captures.capture_file import INBOUND, OUTBOUND, CaptureFile, PacketBatch
from testbed.analysis.captures.headers import TCP, UDP
from testbed.analysis.captures.tcp_streams import Segments, Streams
from testbed.analysis.traffic.causes import CAUSES, cause_codes
from testbed.arrays import BoolArray, IntArray

_PROTOCOLS = {TCP: "tcp", UDP: "udp"}
_DIRECTIONS = {OUTBOUND: "uplink", INBOUND: "downlink"}
_SUMS = ("packets", "bytes", "captured_bytes", "payload_bytes", "retransmitted_bytes")
_KEY = ("interface", "ifindex", "src", "dst", "src_port", "dst_port", "protocol", "direction")

_NEVER_NS = np.int64(1 << 62)

COLUMNS = (
    *("interface", "direction", "src", "src_port", "dst", "dst_port", "protocol", "cause"),
    *("started_s", "duration_s", *_SUMS, "missing_bytes", "goodput_mbps"),
)


class FlowTally:
    """Counts the flows of one capture, batch by batch."""

    def __init__(self, capture: CaptureFile) -> None:
        self._capture = capture
        self._current: dict[tuple[int, ...], int] = {}  # the latest flow of these ends
        self._opened: dict[int, int] = {}  # the sequence number of a flow's SYN
        self._keys: list[tuple[int, ...]] = []
        self._causes: list[int] = []
        self._sums: dict[str, IntArray] = {name: np.zeros(0, np.int64) for name in _SUMS}
        self._first_ns = np.zeros(0, np.int64)
        self._last_ns = np.zeros(0, np.int64)
        self._streams = Streams()

    def add(self, packets: PacketBatch) -> None:
        """Count a batch; packets without an IP address are left out."""
        rows = np.flatnonzero((packets.src > 0) | (packets.dst > 0))
        if not len(rows):
            return
        group = _groups(packets, rows)
        order = np.argsort(group, kind="stable")
        rows, group = rows[order], group[order]
        begins = np.diff(group, prepend=-1) != 0
        flows = self._flows(packets, rows, begins)
        first = np.flatnonzero(np.diff(flows, prepend=-1))
        self._count(packets, rows, flows, first)

    def table(self, origin_ns: int = 0, tdf: float = 1.0) -> pd.DataFrame:
        """Return COLUMNS, a row a flow, in the order of their first packets.

        `captured_bytes` are the packets' lengths as the capture states them, with its own link
        header, as Wireshark counts; `bytes` are Ethernet frames (`PacketBatch.wire_bytes`);
        `retransmitted_bytes` are payload captured before, `missing_bytes` payload whose sequence
        numbers were passed over and never came. `goodput_mbps` is payload captured once by
        `duration_s`, and null for a flow of one instant. Times and rates are of emulated time:
        (capture time - `origin_ns`) / `tdf`.
        """
        key = dict(zip(_KEY, np.array(self._keys, np.int64).reshape(-1, len(_KEY)).T, strict=True))
        text = self._capture.addresses.text
        names = self._capture.names()
        first_ns, last_ns = (each[: len(self._keys)] for each in (self._first_ns, self._last_ns))
        duration_s = (last_ns - first_ns) / 1e9 / tdf
        sums = {name: self._sums[name][: len(self._keys)] for name in _SUMS}
        once = sums["payload_bytes"] - sums["retransmitted_bytes"]
        with np.errstate(divide="ignore", invalid="ignore"):
            goodput = np.where(duration_s > 0, once * 8 / duration_s / 1e6, np.nan)
        columns: dict[str, Any] = {
            "interface": _interface_names(names, key["interface"], key["ifindex"]),
            "direction": [_DIRECTIONS.get(each, "") for each in key["direction"].tolist()],
            "src": [text(each) for each in key["src"].tolist()],
            "src_port": key["src_port"],
            "dst": [text(each) for each in key["dst"].tolist()],
            "dst_port": key["dst_port"],
            "protocol": [_PROTOCOLS.get(each, str(each)) for each in key["protocol"].tolist()],
            "cause": [CAUSES[each] for each in self._causes],
            "started_s": (first_ns - origin_ns) / 1e9 / tdf,
            "duration_s": duration_s,
            **sums,
            "missing_bytes": self._streams.missing_bytes(len(once)),
            "goodput_mbps": goodput,
        }
        table = pd.DataFrame(columns, columns=list(COLUMNS))
        return table.sort_values("started_s", kind="stable", ignore_index=True)

    def _flows(self, packets: PacketBatch, rows: IntArray, begins: BoolArray) -> IntArray:
        """Return the flow of each of these rows, which are sorted by their ends, then by time."""
        marks = np.flatnonzero(begins | packets.syn[rows])
        at = rows[marks]
        keys = np.stack([getattr(packets, name)[at] for name in _KEY], axis=1).tolist()
        causes = cause_codes(packets.src_port[at], packets.dst_port[at])
        flows = [
            self._flow(tuple(key), cause, sequence if syn else None)
            for key, cause, syn, sequence in zip(
                keys,
                causes.tolist(),
                packets.syn[at].tolist(),
                packets.sequence[at].tolist(),
                strict=True,
            )
        ]
        return np.repeat(flows, np.diff(np.append(marks, len(rows))))

    def _flow(self, key: tuple[int, ...], cause: int, opened_by: int | None) -> int:
        """Return the flow of these ends; a SYN that is not a repeated one opens another."""
        flow = self._current.get(key)
        if flow is None or (opened_by is not None and self._opened.get(flow) != opened_by):
            flow = self._current[key] = len(self._keys)
            self._keys.append(key)
            self._causes.append(cause)
            if opened_by is not None:
                self._opened[flow] = opened_by
        return flow

    def _count(
        self, packets: PacketBatch, rows: IntArray, flows: IntArray, first: IntArray
    ) -> None:
        self._grow()
        numbered = (packets.protocol[rows] == TCP) & (packets.sequence[rows] >= 0)
        payload = packets.payload_bytes[rows]
        repeated = np.zeros(len(rows), np.int64)
        columns = (packets.sequence, packets.payload_bytes, packets.syn, packets.fin)
        segments = Segments(flows[numbered], *(column[rows[numbered]] for column in columns))
        repeated[numbered] = self._streams.repeated_bytes(segments)
        values = (
            np.ones(len(rows), np.int64),
            packets.wire_bytes()[rows],
            packets.original_bytes[rows],
            payload,
            repeated,
        )
        here = flows[first]
        for name, value in zip(_SUMS, values, strict=True):
            self._sums[name][here] += np.add.reduceat(value, first)
        time_ns = packets.time_ns[rows]
        self._first_ns[here] = np.minimum(self._first_ns[here], np.minimum.reduceat(time_ns, first))
        self._last_ns[here] = np.maximum(self._last_ns[here], np.maximum.reduceat(time_ns, first))

    def _grow(self) -> None:
        """Make room for all flows, at least twice as much as before."""
        new = len(self._keys) - len(self._first_ns)
        if new <= 0:
            return
        new = max(new, len(self._first_ns))
        for name in _SUMS:
            self._sums[name] = np.append(self._sums[name], np.zeros(new, np.int64))
        self._first_ns = np.append(self._first_ns, np.full(new, _NEVER_NS))
        self._last_ns = np.append(self._last_ns, np.full(new, -_NEVER_NS))


def _groups(packets: PacketBatch, rows: IntArray) -> IntArray:
    """Return a number for each row, equal where all of _KEY is."""
    src, dst = (
        getattr(packets, end)[rows] << 16 | getattr(packets, f"{end}_port")[rows]
        for end in ("src", "dst")
    )
    where = packets.interface[rows] << 32 | packets.ifindex[rows] + 1
    how = packets.direction[rows] << 8 | packets.protocol[rows]
    code = np.zeros(len(rows), np.int64)
    for column in (src, dst, where, how):
        if column.min() < column.max():
            numbers, _ = pd.factorize(column)
            code, _ = pd.factorize(code * (numbers.max() + 1) + numbers)
    return code


def _interface_names(
    names: NDArray[np.object_], interfaces: IntArray, ifindexes: IntArray
) -> list[str]:
    """Return names of interfaces; the kernel's numbers where the capture has one for all."""
    return [
        names[interface] or (f"ifindex {ifindex}" if ifindex >= 0 else f"interface {interface}")
        for interface, ifindex in zip(interfaces.tolist(), ifindexes.tolist(), strict=True)
    ]
