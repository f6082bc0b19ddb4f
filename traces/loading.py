"""From a file or folder to a recording: format, files, duplicates, clocks."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeVar

import numpy as np

from testbed.errors import TraceError
from traces import cache
from traces.formats.registry import Format, find_format
from traces.progress import with_progress
from traces.projection import unwrapped
from traces.recording import Content, Dropped, ReadingRules, Recording, Track
from traces.trace_files import open_bytes, printable, trace_files

Result = TypeVar("Result")

_CHUNK_BYTES = 1 << 20
_SHOWN_PATH = 200  # characters
_log = logging.getLogger(__name__)


def load(path: Path, trace_format: str = "auto", reading: ReadingRules | None = None) -> Recording:
    """Return what a file holds, or all files of one format in a folder.

    Raises TraceError if there is nothing at `path`, no or more than one format is recognised, or a
    file is malformed.
    """
    reading = reading or ReadingRules()
    check_exists(path)
    everything = trace_files(path)
    if not everything:
        raise TraceError(f"{path}: no trace files in this folder")
    chosen, files = find_format(path, everything, trace_format)
    digests = list(with_progress(_several(_digest, files), "looking", len(files)))
    originals = _originals(files, digests) if reading.duplicates == "drop" else files
    names = _names(chosen, files, path)
    entry = cache.entry_for(chosen.name, reading, zip(names.values(), digests, strict=True))
    large = sum(file.stat().st_size for file in files) >= cache.LEAST_BYTES
    recording = cache.recall(entry, _source(path)) if large else None
    if recording is None:
        recording = _combined(path, chosen, {file: names[file] for file in originals}, reading)
        if not recording.interval_s:
            raise TraceError(f"{path}: no trace has two samples, so nobody moves")
        copies = Dropped(duplicates=len(files) - len(originals))
        recording = replace(recording, files=len(files), dropped=recording.dropped + copies)
        if large:
            cache.keep(entry, recording)
    bad_lines, unusable = recording.dropped.bad_lines, recording.dropped.unusable
    if bad_lines or unusable:
        text = "%s: skipped %d malformed lines, and %d files with nothing usable"
        _log.warning(text, path, bad_lines, unusable)
    return recording


def check_exists(path: Path) -> None:
    """Raise TraceError where nothing is that traces could be read from."""
    try:
        path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        shown = str(path)[:_SHOWN_PATH]
        raise TraceError(f"{shown}: no such folder or file of traces ({reason})") from error


def _source(path: Path) -> str:
    return printable(path.resolve().name)


def _names(chosen: Format, files: Sequence[Path], path: Path) -> dict[Path, str]:
    """Return the files' names in the data set, with their endings where these tell them apart."""
    names = {file: printable(chosen.called(file, path)) for file in files}
    uses = Counter(names.values())
    return {
        file: name if uses[name] == 1 else str(PurePosixPath(name).with_name(printable(file.name)))
        for file, name in names.items()
    }


def _originals(files: Sequence[Path], digests: Sequence[bytes]) -> list[Path]:
    """Return the first of the files of each content."""
    first = dict(zip(reversed(digests), reversed(files), strict=True))
    return [file for file, digest in zip(files, digests, strict=True) if first[digest] == file]


def _combined(
    path: Path, chosen: Format, files: Mapping[Path, str], reading: ReadingRules
) -> Recording:
    """Return all tracks of the files under unique names, each with its own start or clock."""
    kept: list[tuple[str, Content]] = []
    dropped = Dropped()
    contents = _several(lambda file: chosen.module.read(file, files[file], reading), list(files))
    for file, content in zip(files, with_progress(contents, "reading", len(files)), strict=True):
        dropped += content.dropped
        if content.tracks:
            kept.append((files[file], content))
        elif reading.skip_bad:
            dropped += Dropped(unusable=1)
        else:
            raise TraceError(f"{file}: holds no samples")
    if not kept:
        raise TraceError(f"{path}: none of {len(files)} files holds a usable sample")
    geographic = {content.geographic for _, content in kept}
    if len(geographic) > 1:
        raise TraceError(f"{path}: some files are in degrees and some in metres; load them apart")
    tracks = _on_clocks(path, tuple(_named(kept)), chosen.one_clock)
    (in_degrees,) = geographic
    if in_degrees:
        tracks = unwrapped(tracks)
    return Recording(tracks, _source(path), chosen.name, len(files), dropped, in_degrees)


def _on_clocks(path: Path, tracks: Sequence[Track], one_clock: bool) -> tuple[Track, ...]:
    """Return the tracks with times since their own start, or since the second of the earliest one.

    Raises TraceError if a track lasts longer than can be counted.
    """
    earliest_s = np.floor(min(track.time_s[0] for track in tracks))
    moved = []
    for track in tracks:
        with np.errstate(over="ignore"):
            time_s = track.time_s - (earliest_s if one_clock else track.time_s[0])
        if not np.isfinite(time_s[-1]):
            raise TraceError(
                f"{path}: {track.name!r} goes from {track.time_s[0]:.15g} s to"
                f" {track.time_s[-1]:.15g} s, longer than can be counted"
            )
        moved.append(replace(track, time_s=time_s))
    return tuple(moved)


def _several(read: Callable[[Path], Result], files: Sequence[Path]) -> Iterator[Result]:
    """Yield what `read` returns for each file, in their order, working on several at a time.

    Most of the work lies in libraries that let other threads run meanwhile.
    """
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from pool.map(read, files)


def _digest(file: Path) -> bytes:
    """Return the same bytes for files of the same content; TraceError if one cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    with open_bytes(file) as content:
        while chunk := content.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.digest()


def _named(contents: Sequence[tuple[str, Content]]) -> Iterator[Track]:
    """Yield all tracks of files by name; where files use the same names, after the file's."""
    uses = Counter(track.name for _, content in contents for track in content.tracks)
    for name, content in contents:
        for track in content.tracks:
            shared = uses[track.name] > 1
            yield replace(track, name=f"{name}/{track.name}") if shared else track
