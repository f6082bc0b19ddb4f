"""A run's capture as a standard pcapng: one named interface an edge server, with directions.

The emulation captures at the switch ports of all servers, a file for each network namespace that
holds some, with Linux cooked headers that tell port and direction. The file written here says the
same in the terms of any reader: interfaces named after the servers, and inbound or outbound as the
*server* sees it.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.captures.capture_file import INBOUND, OUTBOUND
from testbed.analysis.captures.headers import LINUX_SLL2, link_fields
from testbed.analysis.captures.record_file import RecordFile
from testbed.analysis.captures.record_walk import Records
from testbed.errors import CaptureError

_CHUNK_BYTES = 2 << 20  # of each of a large run's captures, which are read side by side
_NANOSECONDS = 9  # if_tsresol: ticks of 10**-9 s


@dataclass(frozen=True)
class _Packets:
    """Enhanced packet blocks, and when their packets were captured: int64, (n,)."""

    time_ns: NDArray[np.int64]
    blocks: list[bytes]

    def until(self, time_ns: int) -> tuple[_Packets, _Packets]:
        """Return the packets up to an instant, and the later ones."""
        early = self.time_ns <= time_ns
        return self._where(early), self._where(~early)

    def _where(self, chosen: NDArray[np.bool_]) -> _Packets:
        return _Packets(self.time_ns[chosen], [self.blocks[i] for i in np.flatnonzero(chosen)])


def to_pcapng(
    raws: Mapping[Path, Mapping[int, str]],
    out: Path,
    addresses: Mapping[str, str] | None = None,
    *,
    snap_bytes: int = 0,
) -> int:
    """Rewrite SLL2 captures of switch ports as one pcapng of servers; return the packets kept.

    `addresses` by name become a name resolution block, so that Wireshark can show the names.
    `snap_bytes` is what packets were cut to (0: not at all).

    `raws` names for each capture the server behind each switch port (kernel interface number);
    packets of other interfaces are left out. Packets are in the order of their times, and keep
    their SLL2 headers. What leaves the switch enters the server, so its direction becomes inbound,
    and the reverse.
    Raises CaptureError if one is no capture or not of link type LINUX_SLL2; one without any packet
    is fine.
    """
    streams, known = [], 0
    with out.open("wb") as file:
        file.write(_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        for raw, interfaces in raws.items():
            ports = sorted(interfaces)
            for port in ports:
                file.write(_interface_block(interfaces[port], snap_bytes))
            streams.append(_packets(raw, np.array(ports, dtype=np.int64), known))
            known += len(ports)
        if addresses:  # behind the interfaces: editcap wants to know their link type first
            file.write(_names_block(addresses))
        kept = 0
        for packets in _in_order(streams):
            file.write(b"".join(packets.blocks))
            kept += len(packets.blocks)
    return kept


def _in_order(streams: Sequence[Iterator[_Packets]]) -> Iterator[_Packets]:
    """Merge streams of packets, holding one batch of each."""
    waiting: dict[int, _Packets] = {}
    left = set(range(len(streams)))
    while True:
        for number in [each for each in left if each not in waiting]:
            batch = next(streams[number], None)
            if batch is None:
                left.discard(number)
            elif batch.blocks:
                waiting[number] = batch
        if left - waiting.keys():  # an empty batch came from one of them
            continue
        if not waiting:
            return
        until = min(int(batch.time_ns.max()) for batch in waiting.values())
        split = {number: batch.until(until) for number, batch in waiting.items()}
        waiting = {number: later for number, (_, later) in split.items() if later.blocks}
        times = np.concatenate([early.time_ns for early, _ in split.values()])
        blocks = [block for early, _ in split.values() for block in early.blocks]
        order = np.argsort(times, kind="stable")
        yield _Packets(times[order], [blocks[i] for i in order.tolist()])


def _packets(raw: Path, ports: NDArray[np.int64], first: int) -> Iterator[_Packets]:
    """Yield a capture's packets of these ports, which are the interfaces from `first` on."""
    source = RecordFile(raw, chunk_bytes=_CHUNK_BYTES)
    for records in source:
        if (link_type := source.description.interfaces[0].link_type) != LINUX_SLL2:
            raise CaptureError(
                f"{raw}: link type {link_type}, expected LINUX_SLL2"
                f" ({LINUX_SLL2}); capture with `tcpdump -y LINUX_SLL2`"
            )
        yield _blocks(records, ports, first)


def _blocks(records: Records, ports: NDArray[np.int64], first: int) -> _Packets:
    link = link_fields(records.data, LINUX_SLL2, records.start, records.captured)
    rows = np.flatnonzero(np.isin(link.ifindex, ports))
    directions = np.where(link.direction == OUTBOUND, INBOUND, OUTBOUND)
    interface = first + np.searchsorted(ports, link.ifindex)
    high_ns, low_ns = records.time_ns >> 32, records.time_ns & 0xFFFFFFFF
    lengths = records.captured, records.original
    columns = (interface, high_ns, low_ns, *lengths, directions, records.start)
    data = records.data
    blocks: list[bytes] = []
    for number, high, low, captured, original, direction, start in zip(
        *(column[rows].tolist() for column in columns), strict=True
    ):
        padding = bytes(-captured % 4)
        length = 32 + captured + len(padding) + 12
        blocks.append(
            struct.pack("<IIIIIII", 6, length, number, high, low, captured, original)
            + data[start : start + captured]
            + padding
            # epb_flags, end of options, and the block's length again
            + struct.pack("<HHIHHI", 2, 4, direction, 0, 0, length)
        )
    return _Packets(records.time_ns[rows], blocks)


def _interface_block(name: str, snap_bytes: int) -> bytes:
    options = _option(2, name.encode()) + _option(9, bytes([_NANOSECONDS])) + _option(0, b"")
    return _block(1, struct.pack("<HHI", LINUX_SLL2, 0, snap_bytes) + options)


def _names_block(addresses: Mapping[str, str]) -> bytes:
    records = b"".join(
        _option(1, ipaddress.IPv4Address(address).packed + name.encode() + bytes(1))
        for name, address in addresses.items()
    )
    return _block(4, records + _option(0, b""))


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)
