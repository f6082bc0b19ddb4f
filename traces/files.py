"""The files of a data set: which there are, and how they begin."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, TextIO, cast

from testbed.errors import TraceError

_NOT_TRACES = ("README", "SOURCE", "LICENSE", "LICENCE", "COPYING")
_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 65536
_HEAD_LINES = 20


@dataclass(frozen=True)
class Head:
    """How a file begins.

    Args:
        raw: its first bytes, unpacked.
        lines: of its first lines those that are whole and not blank; none where it is no text.
    """

    raw: bytes
    lines: tuple[str, ...]


def trace_files(path: Path) -> list[Path]:
    """Return a file itself, or the files anywhere in a folder, sorted; none if there is neither.

    Hidden files and notes (README, SOURCE, LICENSE, LICENCE, COPYING) are no traces.
    """
    if path.is_file():
        return [path]
    found = []
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [
            Path(folder, name)
            for name in names
            if not name.startswith(".") and not name.upper().startswith(_NOT_TRACES)
        ]
    return sorted(each for each in found if each.is_file())


def trace_name(file: Path, root: Path) -> str:
    """Return a file's name without its ending, after the folders that it lies in below `root`."""
    stem = PurePath(file.name.removesuffix(".gz")).stem
    return stem if file == root else file.relative_to(root).with_name(stem).as_posix()


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file; one that gzip packed is unpacked.

    Raises:
        TraceError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            if packed:
                with gzip.open(file) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield file
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise TraceError(f"{path}: cannot be read: {reason}") from error


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a file as text; bytes that are none show as U+FFFD, so that their line is named.

    Raises:
        TraceError: it cannot be read.
    """
    with open_bytes(path) as file:
        yield io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace")


def head(path: Path) -> Head:
    """Return how a file begins.

    Raises:
        TraceError: it cannot be read.
    """
    with open_bytes(path) as file:
        raw = file.read(_HEAD_BYTES)
    text = raw.decode("utf-8-sig", errors="replace")
    if len(raw) == _HEAD_BYTES:  # the last line is not whole, nor is the last word
        text = text.rpartition("\n")[0] or text.rpartition(" ")[0]
    if "\0" in text:
        return Head(raw, ())
    lines = [line.strip() for line in text.split("\n", _HEAD_LINES)[:_HEAD_LINES]]
    return Head(raw, tuple(filter(None, lines)))
