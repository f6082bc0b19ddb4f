"""The records of a classic pcap: a 24-byte file header, then 16-byte record headers."""

from __future__ import annotations

import struct
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

_TICKS_PER_S = {0xA1B2C3D4: 10**6, 0xA1B23C4D: 10**9}
_GZIP = b"\x1f\x8b"
PCAP_HEADER_BYTES = 24
_RECORD = 16
_NEAR_S = 86400  # a record found behind damage is within a day of the last one before


class PcapWalk:
    """A classic pcap's records; raises CaptureError for anything else."""

    def __init__(self, path: Path, header: bytes, description: Description) -> None:
        order = _byte_order(path, header)
        magic, _, _, _, _, snap, link_type = struct.unpack(order + "IHHiIII", header)
        # The upper bits of the link type tell the length of a frame check sequence.
        self._ticks_per_s = _TICKS_PER_S[magic]
        self._order = order
        self._snap = snap if 0 < snap <= MAX_RECORD_BYTES else MAX_RECORD_BYTES
        description.interfaces.append(
            Interface("", link_type & 0xFFFF, self._ticks_per_s, snap_bytes=self._snap)
        )
        self._last_s: int | None = None
        self._was_lost = False
        self.unread_bytes = 0

    def step(self, data: bytearray, position: int, end: int) -> tuple[int, Records | None, bool]:
        """Return where the whole records stop, these, and whether that is for damage."""
        captured_at = struct.Struct(self._order + "I").unpack_from
        offsets: list[int] = []
        append, last, lost = offsets.append, end - _RECORD, False
        while position <= last:
            captured = captured_at(data, position + 8)[0]
            following = position + _RECORD + captured
            if captured > MAX_RECORD_BYTES:
                lost = True
                break
            if following > end:
                break
            append(position)
            position = following
        at = np.array(offsets, np.int64)
        good = self._good(data, at)
        if not good.all():
            first_bad = int(np.argmin(good))
            at, position, lost = at[:first_bad], offsets[first_bad], True
        if lost and len(at) and not self._is_sound(data, int(at[-1])):
            position, at = int(at[-1]), at[:-1]  # its length led astray
        if not len(at):
            return position, None, lost
        return position, self._records(data, at), lost

    def find(self, data: bytearray, first: int, last: int, end: int) -> int | None:
        """Return the first place in [first, last) where a record stands beyond doubt."""
        self._was_lost = True
        last = min(last, end - _RECORD + 1)
        if last <= first:
            return None
        at = np.arange(first, last)
        captured = self._at_all(data, at, 8)
        original = self._at_all(data, at, 12)
        sound = (captured == np.minimum(original, self._snap)) & (captured > 0)
        for place in at[sound & (original <= MAX_RECORD_BYTES)].tolist():
            following = place + _RECORD + self._number(data, place + 8)
            if following <= end and self._good(data, np.array([place]))[0]:
                time_s = self._number(data, place)
                if self._last_s is not None and abs(time_s - self._last_s) <= _NEAR_S:
                    return int(place)
                # Without a time to compare with, the next record has to fit as well.
                if following == end or self._follows(data, following, end, time_s):
                    return int(place)
        return None

    @property
    def _u4(self) -> str:
        return self._order + "u4"

    def _at_all(self, data: bytearray, at: IntArray, offset: int) -> IntArray:
        return every_offset(data, self._u4)[at[0] + offset : at[-1] + offset + 1].astype(np.int64)

    def _number(self, data: bytearray, place: int) -> int:
        return int(field_at(data, self._u4, np.array([place]))[0])

    def _follows(self, data: bytearray, place: int, end: int, time_s: int) -> bool:
        return (
            place + _RECORD <= end
            and bool(self._good(data, np.array([place]))[0])
            and abs(self._number(data, place) - time_s) <= _NEAR_S
        )

    def _good(self, data: bytearray, at: IntArray) -> NDArray[np.bool_]:
        """Return whether records' headers stand at these successive places.

        Where damage has been found their two lengths have to confirm each other. A jump in time by
        more than a day has to be confirmed by them anyway.
        """
        captured = field_at(data, self._u4, at + 8)
        original = field_at(data, self._u4, at + 12)
        fraction = field_at(data, self._u4, at + 4)
        possible = (captured <= original) & (original > 0) & (original <= MAX_RECORD_BYTES)
        possible &= fraction < self._ticks_per_s
        confirmed = captured == np.minimum(original, self._snap)
        if self._was_lost or not len(at):
            return possible & confirmed
        time_s = field_at(data, self._u4, at)
        before_s = time_s[0] if self._last_s is None else self._last_s
        is_near = np.abs(np.diff(time_s, prepend=before_s)) <= _NEAR_S
        return possible & (confirmed | is_near)

    def _is_sound(self, data: bytearray, place: int) -> bool:
        """Return whether a record's two lengths confirm each other."""
        return self._number(data, place + 8) == min(self._number(data, place + 12), self._snap)

    def _records(self, data: bytearray, at: IntArray) -> Records:
        time_s = field_at(data, self._u4, at)
        self._last_s = int(time_s[-1])
        fraction_ns = field_at(data, self._u4, at + 4) * (10**9 // self._ticks_per_s)
        return Records(
            data=data,
            start=at + _RECORD,
            captured=field_at(data, self._u4, at + 8),
            original=field_at(data, self._u4, at + 12),
            time_ns=time_s * 10**9 + fraction_ns,
            interface=np.zeros_like(at),
            direction=np.zeros_like(at),
        )


def _byte_order(path: Path, header: bytes) -> str:
    if not header:
        raise CaptureError(f"{path}: is empty, not a capture")
    if header.startswith(_GZIP):
        raise CaptureError(f"{path}: is compressed; gunzip it first")
    for order in "<>":
        if len(header) >= 4 and struct.unpack(order + "I", header[:4])[0] in _TICKS_PER_S:
            if len(header) < PCAP_HEADER_BYTES:
                raise CaptureError(f"{path}: is cut short within the file header")
            return order
    raise CaptureError(f"{path}: is neither pcap nor pcapng (starts {header[:4].hex()})")
