"""The files of a data set: which there are, and how they begin."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import BinaryIO, TextIO, cast

from testbed.errors import TraceError

_NOT_TRACES = (".", "README", "SOURCE", "LICENSE", "LICENCE", "COPYING")
_GZIP = b"\x1f\x8b"
_HEAD_BYTES = 65536
_HEAD_LINES = 20
_LONGEST_LINE = 1_000_000  # characters


@dataclass(frozen=True)
class Head:
    """How a file begins."""

    raw: bytes  # its first bytes, unpacked
    lines: tuple[str, ...]  # its first ones that are whole and not blank; none where it is no text


def trace_files(path: Path) -> list[Path]:
    """Return a file itself, or the files anywhere in a folder, sorted; none if there is neither.

    Hidden files and notes (README, SOURCE, LICENSE, LICENCE, COPYING) are no traces. Raises
    TraceError if a folder cannot be looked into.
    """
    try:
        return [path] if path.is_file() else _within(path) if path.exists() else []
    except OSError as error:
        raise TraceError(f"{error.filename or path}: cannot be read: {error.strerror}") from error


def _within(root: Path) -> list[Path]:
    found = []
    for folder, subfolders, names in os.walk(root, onerror=_raise):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.upper().startswith(_NOT_TRACES)]
    return sorted(each for each in found if each.is_file())


def _raise(error: OSError) -> None:
    raise error


def printable(name: str) -> str:
    r"""Return a name with those of its bytes that are no UTF-8 as \xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def trace_name(file: Path, root: Path) -> str:
    """Return a file's name without its ending, after the folders that it lies in below `root`."""
    stem = PurePath(file.name.removesuffix(".gz")).stem
    return stem if file == root else file.relative_to(root).with_name(stem).as_posix()


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """Open a file; one that gzip packed is unpacked. TraceError if it cannot be read."""
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            with gzip.open(file) if packed else nullcontext(file) as unpacked:
                yield cast(BinaryIO, unpacked)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise TraceError(f"{path}: cannot be read: {reason}") from error


@contextmanager
def open_text(path: Path, longest: int = _LONGEST_LINE) -> Iterator[Iterator[str]]:
    """Open a file as lines of text; bytes that are no text show as U+FFFD, so that a line is named.

    Raises TraceError if it cannot be read, or (meanwhile) if a line is longer than `longest`.
    """
    with open_bytes(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace")
        yield _lines(path, text, longest)


def _lines(path: Path, text: TextIO, longest: int) -> Iterator[str]:
    """Yield lines, never more of one at a time than is allowed: packed, they cost next to none."""
    for number in itertools.count(1):
        line = text.readline(longest + 1)
        if len(line) > longest:
            raise TraceError(f"{path}:{number}: the line has more than {longest} characters")
        if not line:
            return
        yield line


def head(path: Path) -> Head:
    """Return how a file begins; TraceError if it cannot be read."""
    with open_bytes(path) as file:
        raw = file.read(_HEAD_BYTES)
    text = raw.decode("utf-8-sig", errors="replace")
    if len(raw) == _HEAD_BYTES:  # the last line is not whole, nor is the last word
        text = text.rpartition("\n")[0] or text.rpartition(" ")[0]
    if "\0" in text:
        return Head(raw, ())
    lines = [line.strip() for line in text.split("\n", _HEAD_LINES)[:_HEAD_LINES]]
    return Head(raw, tuple(filter(None, lines)))
