"""What large data sets hold, kept so that it is parsed once.

An entry is found by the content and names of all files and by the rules they were read by, so it
is never stale. Entries lie in `traces/data/cache`, which git ignores; deleting the folder empties
the cache. The oldest are removed when all together exceed 4 GB. Where the folder cannot be written
or an entry cannot be read, the files are parsed as if there were no cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from traces.recording import Dropped, Reading, Recording, Track
from traces.trace import FloatArray

FOLDER = Path(__file__).resolve().parent / "data" / "cache"
LEAST_BYTES = 20_000_000  # of files that are worth an entry: fewer are parsed in about a second
MOST_BYTES = 4_000_000_000

_VERSION = 2  # raised whenever files are read in another way
_DESCRIPTION = b"recording"
_DIGEST = b"digest"  # of the description, which the checksums of pages do not cover
_COLUMNS = ("time_s", "x", "y")


def entry_for(chosen: str, reading: Reading, files: Iterable[tuple[str, bytes]]) -> Path:
    """Return where the recording is kept that these files give, whether it is there or not.

    Args:
        chosen: the name of the files' format.
        reading: the rules by which they are read.
        files: the name and a digest of the content of each.
    """
    rules = {"version": _VERSION, "format": chosen, **asdict(reading)}
    digest = hashlib.blake2b(json.dumps(rules).encode(), digest_size=16)
    for name, content in files:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0" + content)
    return FOLDER / f"{digest.hexdigest()}.parquet"


def recall(entry: Path, source: str) -> Recording | None:
    """Return what an entry holds; None where there is none, or none that is whole."""
    try:
        with parquet.ParquetFile(entry, page_checksum_verification=True) as file:
            described = _description(file.schema_arrow.metadata)
            columns = [_column(file, name) for name in _COLUMNS]
        recording = _recording(described, columns, source)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return None
    with suppress(OSError):  # another user's entry is as good
        os.utime(entry)
    return recording


def keep(entry: Path, recording: Recording) -> None:
    """Write an entry, whole or not at all, and remove the oldest ones where there are too many."""
    described = {
        "names": [track.name for track in recording.tracks],
        "people": [track.person for track in recording.tracks],
        "lengths": [len(track) for track in recording.tracks],
        "format": recording.format,
        "files": recording.files,
        "dropped": asdict(recording.dropped),
        "geographic": recording.geographic,
    }
    columns = {
        name: np.concatenate([getattr(track, name) for track in recording.tracks])
        for name in _COLUMNS
    }
    description = json.dumps(described).encode()
    table = pa.table(columns, metadata={_DESCRIPTION: description, _DIGEST: _digest(description)})
    with suppress(OSError, pa.ArrowException):
        _create_folder()
        _write(table, entry)
        _remove_oldest(entry)


def _digest(description: bytes) -> bytes:
    return hashlib.blake2b(description, digest_size=16).hexdigest().encode()


def _description(metadata: dict[bytes, bytes]) -> Any:
    if _digest(metadata[_DESCRIPTION]) != metadata[_DIGEST]:
        raise ValueError("a description that is not as it was written")
    return json.loads(metadata[_DESCRIPTION])


def _column(file: parquet.ParquetFile, name: str) -> FloatArray:
    column: FloatArray = file.read([name])[name].to_numpy()
    if column.dtype != np.float64:
        raise TypeError(f"{name} is of type {column.dtype}")
    return column


def _recording(described: dict[str, Any], columns: list[FloatArray], source: str) -> Recording:
    """Return a recording of what an entry says; ValueError where that does not fit together."""
    bounds = pairwise(np.cumsum([0, *described["lengths"]]))
    named = zip(described["names"], described["people"], bounds, strict=True)
    tracks = tuple(
        Track(name, person, *(column[start:stop] for column in columns))
        for name, person, (start, stop) in named
    )
    if any(sum(described["lengths"]) != len(column) for column in columns):
        raise ValueError("an entry with samples of no track")
    return Recording(
        tracks,
        source,
        described["format"],
        described["files"],
        Dropped(**described["dropped"]),
        described["geographic"],
    )


def _create_folder() -> None:
    for folder in (FOLDER.parent, FOLDER):
        if not folder.exists():
            folder.mkdir()
            _give(folder)


def _write(table: pa.Table, entry: Path) -> None:
    """Write a file that is there under its name only once it is whole."""
    descriptor, name = tempfile.mkstemp(dir=entry.parent, prefix=".")
    os.close(descriptor)
    draft = Path(name)
    try:
        parquet.write_table(
            table,
            draft,
            compression="lz4",
            use_dictionary=False,
            use_byte_stream_split=True,
            write_page_checksum=True,
        )
        draft.chmod(0o644)
        _give(draft)
        draft.replace(entry)
    finally:
        draft.unlink(missing_ok=True)


def _give(item: Path) -> None:
    """Let an item that root made (under sudo) belong to whom the folder of the cache belongs."""
    if os.geteuid() == 0:
        owner = FOLDER.parents[1].stat()
        os.chown(item, owner.st_uid, owner.st_gid)


def _remove_oldest(entry: Path) -> None:
    """Remove other entries and what is left of unfinished ones, oldest first, if there are many."""
    entries = sorted(FOLDER.iterdir(), key=lambda each: each.stat().st_mtime)
    excess = sum(each.stat().st_size for each in entries) - MOST_BYTES
    for each in entries:
        if excess > 0 and each != entry:
            excess -= each.stat().st_size
            each.unlink()
