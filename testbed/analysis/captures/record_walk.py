"""What capture files consist of: records, and the walk through them.

Finding the records of a chunk is a walk from length to length, the only loop over packets; their
fields are then read with numpy for all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from testbed.arrays import IntArray

# A packet longer than any snap length in use (tcpdump's maximum is 256 KiB) or a block longer
# than this is a damaged length, not a packet.
MAX_RECORD_BYTES = 1 << 20
# Zeros behind a chunk, so that reading a truncated packet's headers never leaves the buffer.
PADDING_BYTES = 256


@dataclass(frozen=True)
class Interface:
    """What the capture says of one of its interfaces; a classic pcap has one without a name."""

    name: str
    link_type: int
    ticks_per_s: int
    offset_s: int = 0
    snap_bytes: int = MAX_RECORD_BYTES  # packets are cut to so many


@dataclass
class Description:
    """What a capture file says beside its packets, as far as it has been read."""

    interfaces: list[Interface] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # of IP addresses
    #: Why something that is not damaged was left unread.
    unread_for: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Records:
    """Packets of one chunk, as columns of equal length; `data` holds their captured bytes."""

    data: bytearray  # ends with PADDING_BYTES zeros
    start: IntArray  # where a packet's first byte stands in data
    captured: IntArray  # bytes in the file
    original: IntArray  # bytes when it was on the wire
    time_ns: IntArray  # since 1970, UTC
    interface: IntArray  # index into the capture's interfaces
    direction: IntArray  # 0 unknown, 1 inbound, 2 outbound (pcapng's epb_flags)

    def take(self, rows: IntArray) -> Records:
        """Return some of the packets."""
        return Records(self.data, **{name: getattr(self, name)[rows] for name in _COLUMNS})


_COLUMNS = tuple(each.name for each in fields(Records) if each.name != "data")


def joined(parts: list[Records]) -> Records:
    """Return the packets of one chunk together."""
    if len(parts) == 1:
        return parts[0]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _COLUMNS}
    return Records(parts[0].data, **columns)


class RecordWalk(Protocol):
    """A walk through one file's records.

    Positions count in a chunk; `end` is behind its last byte of the file.
    """

    #: Bytes of records that were found and make no sense.
    unread_bytes: int

    def step(self, data: bytearray, position: int, end: int) -> tuple[int, Records | None, bool]:
        """Return where the whole records from `position` on stop, these records, and the reason.

        True means lost: what stands there is no record. False means that the chunk's or the
        section's end came first.
        """

    def find(self, data: bytearray, first: int, last: int, end: int) -> int | None:
        """Return the first place in [first, last) where a record stands beyond doubt."""


def field_at(data: bytes | bytearray, dtype: str, offsets: IntArray) -> IntArray:
    """Read one number of `dtype` (such as ">u2") at each of the byte offsets: int64, (n,)."""
    return every_offset(data, dtype)[offsets].astype(np.int64)


def every_offset(data: bytes | bytearray, dtype: str) -> NDArray[np.integer]:
    """Return the numbers of `dtype` that begin at each byte of the data, without a copy."""
    width = np.dtype(dtype).itemsize
    return np.ndarray((len(data) - width + 1,), dtype=dtype, buffer=data, strides=(1,))
