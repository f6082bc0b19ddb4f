"""A capture file, pcap or pcapng, read in one pass and in bounded memory.

Files are read in chunks. Where the bytes make no sense the walk through them is lost: it goes on
at the next place where a record stands beyond doubt, and what lies between is counted as unread.

Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from testbed.analysis.captures.pcap_records import PCAP_HEADER_BYTES, PcapWalk
from testbed.analysis.captures.pcapng_records import SECTION, PcapngWalk
from testbed.analysis.captures.record_walk import (
    MAX_RECORD_BYTES,
    PADDING_BYTES,
    Description,
    Records,
    RecordWalk,
    joined,
)
from testbed.errors import CaptureError

CHUNK_BYTES = 16 << 20  # holds several of the longest records
_MAX_LEFT_BYTES = 2 * MAX_RECORD_BYTES
# A damaged stretch is searched in pieces, each twice as long as the one before.
_FIRST_SEARCH_BYTES, _MAX_SEARCH_BYTES = 1 << 11, 1 << 16


@dataclass
class RecordFile:
    """A capture file opened for one pass, in chunks; `unread_bytes` is what damage left unread."""

    path: Path
    description: Description = field(default_factory=Description)
    unread_bytes: int = 0
    chunk_bytes: int | None = None  # CHUNK_BYTES

    def __iter__(self) -> Iterator[Records]:
        """Yield the packets chunk by chunk; their `data` is good until the next chunk."""
        try:
            with self.path.open("rb", buffering=0) as file:
                yield from self._read(file)
        except OSError as error:
            raise CaptureError(f"{self.path}: cannot be read: {error.strerror}") from error

    def _read(self, file: io.FileIO) -> Iterator[Records]:
        walk = self._start(file)
        chunk_bytes = self.chunk_bytes or CHUNK_BYTES
        data = bytearray(_MAX_LEFT_BYTES + chunk_bytes + PADDING_BYTES)
        space = memoryview(data)
        left = 0  # bytes of a record that began in the chunk before
        while True:
            got = _fill(file, space[left : left + chunk_bytes])
            end, position = left + got, 0
            space[end : end + PADDING_BYTES] = bytes(PADDING_BYTES)
            parts: list[Records] = []
            while position < end:
                stop, records, lost = walk.step(data, position, end)
                if records is not None:
                    parts.append(records)
                if not lost and stop == position:
                    if got:
                        break  # the record goes on in the next chunk
                    lost = True  # it goes on behind the file's end
                position = self._search(walk, data, stop, end) if lost else stop
            if parts:
                yield joined(parts)
            left = end - position
            space[:left] = space[position:end]
            if not got:
                self.unread_bytes += walk.unread_bytes
                return

    def _start(self, file: io.FileIO) -> RecordWalk:
        header = file.read(PCAP_HEADER_BYTES)
        if header.startswith(SECTION):
            file.seek(0)
            return PcapngWalk(self.path, header, self.description)
        return PcapWalk(self.path, header, self.description)

    def _search(self, walk: RecordWalk, data: bytearray, position: int, end: int) -> int:
        """Return where records begin again, or the end."""
        first, piece_bytes = position + 1, _FIRST_SEARCH_BYTES
        while first < end:
            last = min(first + piece_bytes, end)
            found = walk.find(data, first, last, end)
            if found is not None:
                self.unread_bytes += found - position
                return found
            first, piece_bytes = last, min(2 * piece_bytes, _MAX_SEARCH_BYTES)
        self.unread_bytes += end - position
        return end


def _fill(file: io.FileIO, space: memoryview) -> int:
    """Read until the space is full or the file ends; return how many bytes came."""
    got = 0
    while got < len(space) and (count := file.readinto(space[got:])):
        got += count
    return got
