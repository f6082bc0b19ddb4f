"""Packet captures (pcap and pcapng) as batches of columns, fast and in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.captures.address_book import AddressBook
from testbed.analysis.captures.headers import (
    LINK_TYPES,
    TCP,
    Transport,
    link_fields,
    transport_fields,
)
from testbed.analysis.captures.record_file import RecordFile
from testbed.analysis.captures.record_walk import Description, Interface, Records
from testbed.arrays import BoolArray, IntArray

MTU_BYTES = 1500
INBOUND, OUTBOUND = 1, 2


@dataclass(frozen=True)
class PacketBatch:
    """Some packets of a capture in the file's order, as columns of shape (n,).

    Addresses are codes of `Capture.addresses`, 0 for anything but IP. `direction` is pcapng's:
    0 unknown, 1 inbound, 2 outbound. It comes from the packet's flags, or else from a Linux cooked
    header (seen from the host that captured). `interface` indexes `Capture.interfaces`; `ifindex`
    is the kernel's number from an SLL2 header, else -1.
    """

    time_ns: IntArray  # since 1970, UTC
    interface: IntArray
    ifindex: IntArray
    direction: IntArray
    original_bytes: IntArray  # as the capture states it, its own link header included
    src: IntArray
    dst: IntArray
    protocol: IntArray  # 6 TCP, 17 UDP; 0 for anything but IP
    src_port: IntArray
    dst_port: IntArray
    frame_header_bytes: IntArray  # Ethernet's on the wire, also where the capture has another
    header_bytes: IntArray  # IP and TCP or UDP
    payload_bytes: IntArray
    sequence: IntArray  # -1 where there is none
    syn: BoolArray
    fin: BoolArray
    doubt: IntArray  # why it is not to be trusted altogether: as in `headers.Transport`

    def __len__(self) -> int:
        return len(self.time_ns)

    def wire_bytes(self, mtu_bytes: int = MTU_BYTES) -> IntArray:
        """Return the bytes of the Ethernet frames that each captured packet is on a real link.

        With segmentation offload a captured TCP packet is up to 64 kB, which a network card cuts
        into frames of at most `mtu_bytes` of IP packet. Each of them repeats the packet's own
        Ethernet, IP and TCP headers (so 1448 bytes of payload a frame with TCP timestamps):
        payload + headers * ceil(payload / (MTU - IP and TCP headers)). Preamble, padding to the
        minimum frame, check sequence and gap are not counted.
        """
        per_frame = np.maximum(mtu_bytes - self.header_bytes, 1)
        frames = np.where(self.protocol == TCP, -(-self.payload_bytes // per_frame), 1)
        headers = self.frame_header_bytes + self.header_bytes
        return self.payload_bytes + headers * np.maximum(frames, 1)


class CaptureFile:
    """A capture file; iterating over it yields its packets as `PacketBatch`es.

    Iterating raises CaptureError for a file that is no capture or is empty. Where a file is damaged
    or cut short the rest is read: afterwards `unread_bytes` says how much was not. Packets of a
    link type that is not understood are counted by their lengths, without headers, and
    `unknown_link_types` says how many of each there were.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.description = Description()  # grows while the file is read
        self.addresses = AddressBook()
        self.unread_bytes = 0
        self.unknown_link_types: Counter[int] = Counter()

    def __iter__(self) -> Iterator[PacketBatch]:
        records_file = RecordFile(self.path)
        self.description = records_file.description
        self.unknown_link_types.clear()
        for records in records_file:
            yield self._dissect(records)
        self.unread_bytes = records_file.unread_bytes

    @property
    def interfaces(self) -> list[Interface]:
        """The interfaces met so far."""
        return self.description.interfaces

    def names(self) -> NDArray[np.object_]:
        """Return the names of the interfaces met so far, by index: object, (n_interfaces,)."""
        return np.array([interface.name for interface in self.interfaces], dtype=object)

    def _dissect(self, records: Records) -> PacketBatch:
        link_type = np.array([each.link_type for each in self.interfaces])[records.interface]
        kinds, counts = np.unique(link_type, return_counts=True)
        for kind, count in zip(kinds.tolist(), counts.tolist(), strict=True):
            if kind not in LINK_TYPES:
                self.unknown_link_types[kind] += count
        if len(kinds) == 1:
            return self._dissect_link_type(records, int(kinds[0]))
        rows = [np.flatnonzero(link_type == kind) for kind in kinds]
        batches = [
            self._dissect_link_type(records.take(part), int(kind))
            for part, kind in zip(rows, kinds, strict=True)
        ]
        order = np.argsort(np.concatenate(rows))
        columns = {
            each.name: np.concatenate([getattr(batch, each.name) for batch in batches])[order]
            for each in fields(PacketBatch)
        }
        return PacketBatch(**columns)

    def _dissect_link_type(self, records: Records, link_type: int) -> PacketBatch:
        data, start, captured = records.data, records.start, records.captured
        if link_type not in LINK_TYPES:
            captured = np.zeros_like(captured)  # nothing that could be read
        link = link_fields(data, link_type, start, captured)
        transport = transport_fields(data, link, start, captured, records.original, self.addresses)
        return PacketBatch(
            time_ns=records.time_ns,
            interface=records.interface,
            ifindex=link.ifindex,
            direction=np.where(records.direction > 0, records.direction, link.direction),
            original_bytes=records.original,
            frame_header_bytes=link.frame_header_bytes,
            **{each.name: getattr(transport, each.name) for each in fields(Transport)},
        )
