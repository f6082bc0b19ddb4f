"""Where the packets stand in a capture file: the record structure of pcap and pcapng.

Files are read in chunks, so memory stays bounded whatever their size. Finding the records of a
chunk is a walk from length to length, the only loop over packets; their fields are then read
with numpy for all of them at once.

Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from testbed.errors import CaptureError

CHUNK_BYTES = 4 << 20
# A packet longer than any snap length in use (tcpdump's maximum is 256 KiB) or a block longer
# than a chunk is a damaged length, not a packet.
MAX_RECORD_BYTES = 1 << 20
# Zeros behind a chunk, so that reading a truncated packet's headers never leaves the buffer.
PADDING = bytes(256)

_PCAP_TICKS_PER_S = {0xA1B2C3D4: 10**6, 0xA1B23C4D: 10**9}
_PCAPNG_SECTION = 0x0A0D0D0A
_PCAPNG_BYTE_ORDER = 0x1A2B3C4D
_INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6
_OPTION_NAME, _OPTION_RESOLUTION, _OPTION_OFFSET = 2, 9, 14
_OPTION_FLAGS = 2

Int64s = NDArray[np.int64]


@dataclass(frozen=True)
class Interface:
    """What the capture says of one of its interfaces; a classic pcap has one without a name."""

    name: str
    link_type: int
    ticks_per_s: int
    offset_s: int = 0


@dataclass(frozen=True)
class Records:
    """Packets of one chunk, as columns of equal length; `data` holds their captured bytes."""

    data: bytes  # ends with PADDING
    start: Int64s  # where a packet's first byte stands in data
    captured: Int64s  # bytes in the file
    original: Int64s  # bytes when it was on the wire
    time_ns: Int64s  # since 1970, UTC
    interface: Int64s  # index into the capture's interfaces
    direction: Int64s  # 0 unknown, 1 inbound, 2 outbound (pcapng's epb_flags)


def field_at(data: bytes, dtype: str, offsets: Int64s) -> Int64s:
    """Read one number of `dtype` (such as ">u2") at each of the byte offsets: int64, (n,)."""
    width = np.dtype(dtype).itemsize
    every_offset: NDArray[np.integer] = np.ndarray(
        (len(data) - width + 1,), dtype=dtype, buffer=data, strides=(1,)
    )
    return every_offset[offsets].astype(np.int64)


@dataclass
class RecordFile:
    """A capture file opened for one pass; `unread_bytes` tells what a damaged end left unread."""

    path: Path
    interfaces: list[Interface] = field(default_factory=list)
    unread_bytes: int = 0

    def __iter__(self) -> Iterator[Records]:
        """Yield the packets chunk by chunk, up to the first byte that no longer makes sense."""
        try:
            with self.path.open("rb") as file:
                yield from self._read(file)
        except OSError as error:
            raise CaptureError(f"{self.path}: cannot be read: {error.strerror}") from error

    def _read(self, file: BinaryIO) -> Iterator[Records]:
        size_bytes = self.path.stat().st_size
        magic = file.read(4)
        walk: _PcapWalk | _PcapngWalk
        if len(magic) == 4 and struct.unpack("<I", magic)[0] == _PCAPNG_SECTION:
            file.seek(0)
            walk = _PcapngWalk(self.path, self.interfaces)
        else:
            walk = _PcapWalk(self.path, magic + file.read(20), self.interfaces)
        read_bytes = file.tell()
        rest = b""
        while not walk.damaged and (chunk := file.read(CHUNK_BYTES)):
            data = rest + chunk
            used = 0
            while used < len(data) and not walk.damaged:
                stop, records = walk.step(data, used)
                if records is not None:
                    yield records
                if stop == used:
                    break
                used = stop
            read_bytes += used
            rest = data[used:]
        walk.check_started()
        # A file that was still growing while it was read may have passed the size taken before.
        self.unread_bytes = max(0, size_bytes - read_bytes) if walk.damaged else len(rest)


class _PcapWalk:
    """The records of a classic pcap: a 24-byte file header, then 16-byte record headers."""

    def __init__(self, path: Path, header: bytes, interfaces: list[Interface]) -> None:
        if not header:
            raise CaptureError(f"{path}: is empty, not a capture")
        order = next(
            (
                order
                for order in "<>"
                if len(header) >= 4
                and struct.unpack(order + "I", header[:4])[0] in _PCAP_TICKS_PER_S
            ),
            None,
        )
        if order is None:
            raise CaptureError(f"{path}: is neither pcap nor pcapng (starts {header[:4].hex()})")
        if len(header) < 24:
            raise CaptureError(f"{path}: is cut short within the file header")
        magic, *_, link_type = struct.unpack(order + "IHHiIII", header)
        # The upper bits of the link type tell the length of a frame check sequence.
        interfaces.append(Interface("", link_type & 0xFFFF, _PCAP_TICKS_PER_S[magic]))
        self._ticks_per_s = _PCAP_TICKS_PER_S[magic]
        self._order = order
        self.damaged = False

    def check_started(self) -> None:
        """Nothing to check: the file header was read before the walk."""

    def step(self, data: bytes, position: int) -> tuple[int, Records | None]:
        """Return where the whole records from `position` on end, and these records."""
        captured_at = struct.Struct(self._order + "I").unpack_from
        offsets: list[int] = []
        append, last = offsets.append, len(data) - 16
        while position <= last:
            captured = captured_at(data, position + 8)[0]
            if captured > MAX_RECORD_BYTES:
                self.damaged = True
                break
            following = position + 16 + captured
            if following > len(data):
                break
            append(position)
            position = following
        return position, self._records(data, np.array(offsets, np.int64)) if offsets else None

    def _records(self, data: bytes, at: Int64s) -> Records:
        u4 = self._order + "u4"
        fraction_ns = field_at(data, u4, at + 4) * (10**9 // self._ticks_per_s)
        return Records(
            data=data + PADDING,
            start=at + 16,
            captured=field_at(data, u4, at + 8),
            original=field_at(data, u4, at + 12),
            time_ns=field_at(data, u4, at) * 10**9 + fraction_ns,
            interface=np.zeros_like(at),
            direction=np.zeros_like(at),
        )


class _PcapngWalk:
    """The blocks of a pcapng: sections, each with its interfaces and enhanced packets."""

    def __init__(self, path: Path, interfaces: list[Interface]) -> None:
        self._path = path
        self._interfaces = interfaces
        self._section_start = 0  # index of the section's first interface
        self._order = ""
        self.damaged = False

    def check_started(self) -> None:
        """Raise CaptureError when not even the section header could be read."""
        if not self._order:
            raise CaptureError(f"{self._path}: is cut short within the section header")

    def step(self, data: bytes, position: int) -> tuple[int, Records | None]:
        """Return where the whole blocks up to the section's or the data's end stop."""
        if data.startswith(b"\x0a\x0d\x0d\x0a", position):
            if position + 12 > len(data):
                return position, None
            self._start_section(data, position)
        head_at = struct.Struct(self._order + "II").unpack_from
        offsets: list[int] = []
        append, last = offsets.append, len(data) - 12
        start = position
        while position <= last:
            kind, length = head_at(data, position)
            following = position + length
            if length < 12 or length % 4 or length > MAX_RECORD_BYTES:
                self.damaged = True
                break
            if following > len(data) or (kind == _PCAPNG_SECTION and position > start):
                break
            if kind == _ENHANCED_PACKET:
                append(position)
            elif kind == _INTERFACE:
                self._interfaces.append(self._interface(data[position + 8 : following - 4]))
            elif kind in (_OLD_PACKET, _SIMPLE_PACKET):
                raise CaptureError(
                    f"{self._path}: holds packet blocks of type {kind}, which give no usable time;"
                    " rewrite the file with `editcap -F pcapng`"
                )
            position = following
        return position, self._records(data, np.array(offsets, np.int64)) if offsets else None

    def _start_section(self, data: bytes, position: int) -> None:
        magic = data[position + 8 : position + 12]
        for order in "<>":
            if struct.unpack(order + "I", magic)[0] == _PCAPNG_BYTE_ORDER:
                self._order = order
                self._section_start = len(self._interfaces)
                return
        raise CaptureError(f"{self._path}: pcapng section with byte-order magic {magic.hex()}")

    def _interface(self, body: bytes) -> Interface:
        (link_type,) = struct.unpack_from(self._order + "H", body)
        options = dict(self._options(body[8:]))
        resolution = options.get(_OPTION_RESOLUTION, b"\x06")[0]
        exponent = resolution & 0x7F
        ticks_per_s = 2**exponent if resolution & 0x80 else 10**exponent
        if ticks_per_s > 10**9:
            raise CaptureError(f"{self._path}: times are finer than a nanosecond")
        offset_s = options.get(_OPTION_OFFSET, bytes(8))
        return Interface(
            name=options.get(_OPTION_NAME, b"").decode("utf-8", "replace"),
            link_type=link_type,
            ticks_per_s=ticks_per_s,
            offset_s=struct.unpack(self._order + "q", offset_s)[0],
        )

    def _options(self, body: bytes) -> Iterator[tuple[int, bytes]]:
        position = 0
        while position + 4 <= len(body):
            code, length = struct.unpack_from(self._order + "HH", body, position)
            if code == 0:
                return
            yield code, body[position + 4 : position + 4 + length]
            position += 4 + length + -length % 4

    def _records(self, data: bytes, at: Int64s) -> Records:
        u4 = self._order + "u4"
        interface = field_at(data, u4, at + 8) + self._section_start
        if interface.max() >= len(self._interfaces):
            raise CaptureError(f"{self._path}: a packet names an interface that is not described")
        ticks = field_at(data, u4, at + 12) << 32 | field_at(data, u4, at + 16)
        ticks_per_s = np.array([each.ticks_per_s for each in self._interfaces])[interface]
        offset_s = np.array([each.offset_s for each in self._interfaces])[interface]
        captured = field_at(data, u4, at + 20)
        padded = data + PADDING
        options = at + 28 + captured + -captured % 4
        end = at + field_at(data, u4, at + 4) - 4
        return Records(
            data=padded,
            start=at + 28,
            captured=captured,
            original=field_at(data, u4, at + 24),
            time_ns=(ticks // ticks_per_s + offset_s) * 10**9
            + ticks % ticks_per_s * 10**9 // ticks_per_s,
            interface=interface,
            direction=self._directions(padded, options, end),
        )

    def _directions(self, data: bytes, position: Int64s, end: Int64s) -> Int64s:
        """Return epb_flags' direction bits of each packet, 0 where there are no flags."""
        directions = np.zeros_like(position)
        rows = np.flatnonzero(position + 4 <= end)
        while len(rows):
            at = position[rows]
            code = field_at(data, self._order + "u2", at)
            length = field_at(data, self._order + "u2", at + 2)
            flagged = code == _OPTION_FLAGS
            directions[rows[flagged]] = field_at(data, self._order + "u4", at[flagged] + 4) & 3
            position[rows] = at + 4 + length + -length % 4
            more = ~flagged & (code != 0) & (position[rows] + 4 <= end[rows])
            rows = rows[more]
        return directions
