"""The blocks of a pcapng: sections, each with its interfaces and packets."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from testbed.analysis.captures.record_walk import (
    MAX_RECORD_BYTES,
    Description,
    Interface,
    Records,
    every_offset,
    field_at,
)
from testbed.arrays import IntArray
from testbed.errors import CaptureError

SECTION = b"\x0a\x0d\x0d\x0a"  # a palindrome, to be known before the byte order is
_BYTE_ORDER = 0x1A2B3C4D
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _NAMES, _PACKET = 0x0A0D0D0A, 1, 2, 3, 4, 6
# Interface statistics, decryption secrets, custom blocks
_OTHER_BLOCKS = frozenset((5, 10, 0xBAD, 0x40000BAD))
_ADDRESS_BYTES = {1: 4, 2: 16}  # of IPv4 and IPv6, by the type of a name resolution record
_OPTION_NAME, _OPTION_RESOLUTION, _OPTION_OFFSET = 2, 9, 14
_OPTION_FLAGS = 2
_HEAD, _PACKET_HEAD, _TAIL = 8, 28, 4
_USUAL = 3  # packets cut to one length
_MAX_TIME_S = 1 << 33  # year 2242: later ones are damage


class PcapngWalk:
    """A pcapng's packets, those of the obsolete packet block too.

    Simple packet blocks have no time and count as unread. After damage a section's further
    interface descriptions are not used: one may have been lost before them, and would shift their
    numbers.
    """

    def __init__(self, path: Path, header: bytes, description: Description) -> None:
        if len(header) < 16:
            raise CaptureError(f"{path}: is cut short within the section header")
        if _section_order(header, 0) is None:
            raise CaptureError(f"{path}: pcapng section with byte-order magic {header[8:12].hex()}")
        self._description = description
        self._described = 0  # interfaces of the sections before
        self._interfaces: list[Interface] = []  # of this section
        self._order = ""
        self._was_lost = False
        self._cut_bytes = MAX_RECORD_BYTES  # to which packets are cut, whatever interfaces say
        self.unread_bytes = 0

    def step(self, data: bytearray, position: int, end: int) -> tuple[int, Records | None, bool]:
        """Return where the whole blocks up to the section's or the data's end stop."""
        if data.startswith(SECTION, position):
            if position + 16 > end:
                return position, None, False
            if not self._start_section(data, position):
                return position, None, True
        head_at = struct.Struct(self._order + "II").unpack_from
        offsets: list[int] = []
        append, last, lost = offsets.append, end - 12, False
        start = position
        while position <= last:
            kind, length = head_at(data, position)
            if kind == _SECTION and position > start:
                break  # its length may be in the other byte order
            following = position + length
            if length < 12 or length % 4 or length > MAX_RECORD_BYTES:
                lost = True
                break
            if following > end:
                break
            if kind in (_PACKET, _OLD_PACKET):
                append(position)
            elif not self._take(kind, data, position, following):
                lost = True
                break
            position = following
        at = np.array(offsets, np.int64)
        good = self._good(data, at, end)
        if not good.all():
            first_bad = int(np.argmin(good))
            at, position, lost = at[:first_bad], offsets[first_bad], True
        return position, self._records(data, at) if len(at) else None, lost

    def find(self, data: bytearray, first: int, last: int, end: int) -> int | None:
        """Return the first place in [first, last) where a packet or a section stands."""
        self._was_lost = True
        last = min(last, end - _PACKET_HEAD - _TAIL + 1)
        if last <= first:
            return None
        kinds = every_offset(data, self._u4)[first:last]
        packets = first + np.flatnonzero(np.isin(kinds, (_PACKET, _OLD_PACKET)))
        found = packets[self._good(data, packets, end)][:1].tolist()
        sections = first + np.flatnonzero(kinds == _SECTION)
        found += [place for place in sections.tolist() if _section_order(data, place)][:1]
        return min(found, default=None)

    @property
    def _u4(self) -> str:
        return self._order + "u4"

    def _start_section(self, data: bytearray, position: int) -> bool:
        order = _section_order(data, position)
        if order is None:
            return False
        self._order = order
        self._described = len(self._description.interfaces)
        self._interfaces = []
        self._was_lost = False
        return True

    def _take(self, kind: int, data: bytearray, position: int, following: int) -> bool:
        """Take a block that is no packet; False if it makes no sense."""
        (again,) = struct.unpack_from(self._order + "I", data, following - _TAIL)
        if again != following - position:
            return False
        if kind == _INTERFACE:
            interface = self._interface(bytes(data[position + _HEAD : following - _TAIL]))
            if interface is None:
                return False
            if not self._was_lost:
                self._interfaces.append(interface)
                self._description.interfaces.append(interface)
        elif kind == _NAMES:
            self._take_names(bytes(data[position + _HEAD : following - _TAIL]))
        elif kind != _SECTION and kind not in _OTHER_BLOCKS:
            if kind == _SIMPLE_PACKET:
                self._description.unread_for.add("simple packet blocks have no time")
            self.unread_bytes += following - position
        return True

    def _interface(self, body: bytes) -> Interface | None:
        """Return what an interface description says; None if no packet's time could be told."""
        if len(body) < 8:
            return None
        link_type, _, snap_bytes = struct.unpack_from(self._order + "HHI", body)
        options = dict(self._options(body[8:]))
        resolution = (options.get(_OPTION_RESOLUTION) or b"\x06")[0]
        exponent = resolution & 0x7F
        ticks_per_s = 2**exponent if resolution & 0x80 else 10**exponent
        offset_s = options.get(_OPTION_OFFSET, bytes(8))
        if ticks_per_s > 10**9:
            self._description.unread_for.add("times finer than a nanosecond are not read")
        if ticks_per_s > 10**9 or len(offset_s) != 8:
            return None
        return Interface(
            name=_printable(options.get(_OPTION_NAME, b"")),
            link_type=link_type,
            ticks_per_s=ticks_per_s,
            offset_s=struct.unpack(self._order + "q", offset_s)[0],
            snap_bytes=snap_bytes or MAX_RECORD_BYTES,
        )

    def _take_names(self, body: bytes) -> None:
        for kind, record in self._options(body):
            size = _ADDRESS_BYTES.get(kind, len(record))
            name = _printable(record[size:].split(b"\0")[0])
            if name:  # and so a whole address before it
                self._description.names[str(ipaddress.ip_address(record[:size]))] = name

    def _options(self, body: bytes) -> Iterator[tuple[int, bytes]]:
        position = 0
        while position + 4 <= len(body):
            code, length = struct.unpack_from(self._order + "HH", body, position)
            if code == 0:
                return
            yield code, body[position + 4 : position + 4 + length]
            position += 4 + length + -length % 4

    def _good(self, data: bytearray, at: IntArray, end: int) -> NDArray[np.bool_]:
        """Return whether packets stand there: their lengths agree with each other."""
        length = field_at(data, self._u4, at + 4)
        captured = field_at(data, self._u4, at + 20)
        original = field_at(data, self._u4, at + 24)
        inside = (length <= MAX_RECORD_BYTES) & (at + length <= end)
        inside &= captured + _PACKET_HEAD + _TAIL <= length
        again = field_at(data, self._u4, np.where(inside, at + length - _TAIL, at))
        return inside & (again == length) & (captured <= original) & (original <= MAX_RECORD_BYTES)

    def _records(self, data: bytearray, at: IntArray) -> Records | None:
        interface = self._interface_numbers(data, at)
        described = interface < len(self._interfaces)
        if not described.all():
            self.unread_bytes += int(field_at(data, self._u4, at[~described] + 4).sum())
            at, interface = at[described], interface[described]
        if not len(at):
            return None
        ticks = field_at(data, self._u4, at + 12) << 32 | field_at(data, self._u4, at + 16)
        ticks_per_s = np.array([each.ticks_per_s for each in self._interfaces])[interface]
        offset_s = np.array([each.offset_s for each in self._interfaces])[interface]
        time_s = ticks // ticks_per_s + offset_s
        captured = field_at(data, self._u4, at + 20)
        length = field_at(data, self._u4, at + 4)
        options = at + _PACKET_HEAD + captured + -captured % 4
        columns = Records(
            data=data,
            start=at + _PACKET_HEAD,
            captured=captured,
            original=field_at(data, self._u4, at + 24),
            time_ns=time_s * 10**9 + ticks % ticks_per_s * 10**9 // ticks_per_s,
            interface=interface + self._described,
            direction=self._directions(data, options, at + length - _TAIL),
        )
        possible = (time_s >= 0) & (time_s < _MAX_TIME_S)
        snap = np.array([each.snap_bytes for each in self._interfaces])[interface]
        whole = captured == np.minimum(columns.original, snap)
        self._cut_bytes = _usual(captured[~whole]) or self._cut_bytes
        if self._was_lost:  # then a packet's two lengths have to confirm each other
            possible &= whole | (captured == np.minimum(columns.original, self._cut_bytes))
        if possible.all():
            return columns
        self.unread_bytes += int(length[~possible].sum())
        return columns.take(np.flatnonzero(possible)) if possible.any() else None

    def _interface_numbers(self, data: bytearray, at: IntArray) -> IntArray:
        is_old = field_at(data, self._u4, at) == _OLD_PACKET
        short = field_at(data, self._order + "u2", at + _HEAD)  # a drop count stands behind it
        return np.where(is_old, short, field_at(data, self._u4, at + _HEAD))

    def _directions(self, data: bytearray, position: IntArray, end: IntArray) -> IntArray:
        """Return epb_flags' direction bits of each packet, 0 where there are no flags."""
        directions = np.zeros_like(position)
        rows = np.flatnonzero(position + 4 <= end)
        while len(rows):
            at = position[rows]
            code = field_at(data, self._order + "u2", at)
            length = field_at(data, self._order + "u2", at + 2)
            flagged = code == _OPTION_FLAGS
            directions[rows[flagged]] = field_at(data, self._u4, at[flagged] + 4) & 3
            position[rows] = at + 4 + length + -length % 4
            more = ~flagged & (code != 0) & (position[rows] + 4 <= end[rows])
            rows = rows[more]
        return directions


def _printable(text: bytes) -> str:
    """Return a name without what would move a terminal's cursor."""
    return "".join(each for each in text.decode("utf-8", "replace") if each.isprintable())


def _usual(lengths: IntArray) -> int | None:
    """Return the length that most of these have, unless they are few."""
    values, counts = np.unique(lengths, return_counts=True)
    if counts.max(initial=0) < max(_USUAL, len(lengths) / 2):
        return None
    return int(values[counts.argmax()])


def _section_order(data: bytes | bytearray, position: int) -> str | None:
    """Return the byte order of the section whose header stands there; None if none does."""
    magic = bytes(data[position + 8 : position + 12])
    return next((o for o in "<>" if magic == struct.pack(o + "I", _BYTE_ORDER)), None)
