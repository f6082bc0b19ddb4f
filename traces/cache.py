"""What large data sets hold, kept so that it is parsed once.

An entry is found by the content and names of all files and by the rules they were read by, so it
is never stale. Entries lie in `traces/data/cache`, which git ignores; deleting the folder empties
the cache. The oldest are removed when all together exceed 4 GB. Where the folder cannot be written
or an entry cannot be read, the files are parsed as if there were no cache.

It is no `joblib.Memory`, which unpickles its entries: traces are loaded by root too, and a pickle
from a folder of another user would run what that one put into it.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from testbed.arrays import FloatArray
from traces.recording import ReadingRules, Recording

FOLDER = Path(__file__).resolve().parent / "data" / "cache"
LEAST_BYTES = 20_000_000  # of files that are worth an entry: fewer are parsed in about a second
MAX_BYTES = 4_000_000_000

_VERSION = 3  # raised whenever files are read, or entries written, in another way
_DESCRIPTION = b"recording"  # as JSON, with its length in the place of each array
_DIGEST = b"digest"  # of the description, which the checksums of pages do not cover
_VALUES = "values"  # the column of all arrays, one after the other


def entry_for(chosen: str, reading: ReadingRules, files: Iterable[tuple[str, bytes]]) -> Path:
    """Return where the recording is kept that files give, whether it is there or not.

    They have the format `chosen`, are read by these rules, and are given by their names and digests
    of their contents.
    """
    rules = {"version": _VERSION, "format": chosen, **asdict(reading)}
    digest = hashlib.blake2b(json.dumps(rules).encode(), digest_size=16)
    for name, content in files:
        digest.update(name.encode("utf-8", "surrogateescape") + b"\0" + content)
    return FOLDER / f"{digest.hexdigest()}.parquet"


def recall(entry: Path, source: str) -> Recording | None:
    """Return what an entry holds; None if it does not exist, or is damaged."""
    try:
        with parquet.ParquetFile(entry, page_checksum_verification=True) as file:
            described = file.schema_arrow.metadata
            if described[_DIGEST] != _digest(described[_DESCRIPTION]):
                raise ValueError("a description that is not as it was written")
            values = file.read([_VALUES])[_VALUES].to_numpy()
        recording = _recording(described[_DESCRIPTION], values)
    except (OSError, pa.ArrowException, msgspec.MsgspecError, ValueError, KeyError, TypeError):
        return None
    with suppress(OSError):  # another user's entry is as good
        os.utime(entry)
    return replace(recording, source=source)


def keep(entry: Path, recording: Recording) -> None:
    """Write an entry, whole or not at all, and remove the oldest ones where there are too many."""
    arrays: list[FloatArray] = []

    def set_aside(array: FloatArray) -> int:
        arrays.append(array)
        return len(array)

    described = msgspec.json.encode(recording, enc_hook=set_aside)
    metadata = {_DESCRIPTION: described, _DIGEST: _digest(described)}
    table = pa.table({_VALUES: np.concatenate(arrays)}, metadata=metadata)
    with suppress(OSError, pa.ArrowException):
        _create_folder()
        _write(table, entry)
        _remove_oldest(entry)


def _digest(description: bytes) -> bytes:
    return hashlib.blake2b(description, digest_size=16).hexdigest().encode()


def _recording(described: bytes, values: FloatArray) -> Recording:
    """Return a recording of what an entry says; ValueError where that does not fit together."""
    taken = 0

    def take(_: type, length: int) -> FloatArray:
        nonlocal taken
        taken += length
        return values[taken - length : taken]

    recording = msgspec.json.decode(described, type=Recording, dec_hook=take)
    if taken != len(values) or values.dtype != np.float64:
        raise ValueError("samples of no track, or no samples")
    return recording


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
        how = {"use_dictionary": False, "use_byte_stream_split": True, "write_page_checksum": True}
        parquet.write_table(table, draft, compression="lz4", **how)
        draft.chmod(0o644)
        _give(draft)
        draft.replace(entry)
    finally:
        draft.unlink(missing_ok=True)


def _give(item: Path) -> None:
    """Give an item that root made (under sudo) to the owner of the cache's folder."""
    if os.geteuid() == 0:
        owner = FOLDER.parents[1].stat()
        os.chown(item, owner.st_uid, owner.st_gid)


def _remove_oldest(entry: Path) -> None:
    """Remove other entries and what is left of unfinished ones, oldest first, if there are many."""
    entries = sorted(FOLDER.iterdir(), key=lambda each: each.stat().st_mtime)
    excess = sum(each.stat().st_size for each in entries) - MAX_BYTES
    for each in entries:
        if excess > 0 and each != entry:
            excess -= each.stat().st_size
            each.unlink()
