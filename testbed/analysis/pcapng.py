"""A run's capture as a standard pcapng: one named interface an edge server, with directions.

The emulation captures at the switch ports of all servers at once, with Linux cooked headers that
tell port and direction. The file rewritten here says the same in the terms of any reader:
interfaces named after the servers, and inbound or outbound as the *server* sees it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from testbed.analysis.framing import RecordFile, Records
from testbed.analysis.headers import LINUX_SLL2, link_fields
from testbed.analysis.pcap import INBOUND, OUTBOUND
from testbed.errors import CaptureError

_NANOSECONDS = 9  # if_tsresol: ticks of 10**-9 s


def to_pcapng(raw: Path, out: Path, interfaces: Mapping[int, str]) -> int:
    """Rewrite an SLL2 capture of switch ports as a pcapng of servers; return the packets kept.

    `interfaces` names the server behind each switch port (kernel interface number); packets of
    other interfaces are left out. The packets keep their SLL2 headers. What leaves the switch
    enters the server, so its direction becomes inbound, and the reverse.
    Raises CaptureError if `raw` is no capture or not of link type LINUX_SLL2.
    """
    source = RecordFile(raw)
    ports = np.array(sorted(interfaces), dtype=np.int64)
    kept = 0
    with out.open("wb") as file:
        file.write(_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        for port in ports.tolist():
            file.write(_interface_block(interfaces[port]))
        for records in source:
            if source.interfaces[0].link_type != LINUX_SLL2:
                raise CaptureError(
                    f"{raw}: link type {source.interfaces[0].link_type}, expected LINUX_SLL2"
                    f" ({LINUX_SLL2}); capture with `tcpdump -y LINUX_SLL2`"
                )
            kept += _write_packets(file, records, ports)
    return kept


def _write_packets(file: BinaryIO, records: Records, ports: np.ndarray) -> int:
    link = link_fields(records.data, LINUX_SLL2, records.start, records.captured)
    rows = np.flatnonzero(np.isin(link.ifindex, ports))
    directions = np.where(link.direction == OUTBOUND, INBOUND, OUTBOUND)
    columns = (
        np.searchsorted(ports, link.ifindex),
        records.time_ns >> 32,
        records.time_ns & 0xFFFFFFFF,
        records.captured,
        records.original,
        directions,
        records.start,
    )
    data = records.data
    blocks: list[bytes] = []
    for number, high, low, captured, original, direction, start in zip(
        *(column[rows].tolist() for column in columns), strict=True
    ):
        padding = bytes(-captured % 4)
        length = 32 + captured + len(padding) + 12
        blocks += (
            struct.pack("<IIIIIII", 6, length, number, high, low, captured, original),
            data[start : start + captured],
            padding,
            # epb_flags, end of options, and the block's length again
            struct.pack("<HHIHHI", 2, 4, direction, 0, 0, length),
        )
    file.write(b"".join(blocks))
    return len(rows)


def _interface_block(name: str) -> bytes:
    options = _option(2, name.encode()) + _option(9, bytes([_NANOSECONDS])) + _option(0, b"")
    return _block(1, struct.pack("<HHI", LINUX_SLL2, 0, 0) + options)


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)
