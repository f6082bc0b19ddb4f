"""The formats of traces, and finding out by their content which one files have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from testbed.errors import TraceError, unknown_name
from traces.formats import bonnmotion, crawdad, csvfile, geolife, gpx, ns2, parquet, sumo
from traces.recording import Content, ReadingRules
from traces.trace_files import Head, head, trace_name

_SHOWN_FILES = 3


class FormatModule(Protocol):
    """What each module of a format has."""

    def recognises(self, head: Head) -> bool:
        """Say whether a file that begins so has this format."""

    def read(self, path: Path, name: str, reading: ReadingRules) -> Content:
        """Return the content of a file, whose name in the data set is given too.

        Raises TraceError if the file cannot be read; or if it is malformed (with the line), and
        `reading` does not let that pass.
        """


@dataclass(frozen=True)
class Format:
    """A format of traces."""

    name: str  # what `--trace-format` takes
    looks: str  # how its files look, for people
    module: FormatModule  # that reads it
    called: Callable[[Path, Path], str] = trace_name  # by the paths of a file and of the data set
    # All tracks share a simulation's clock, whose 0 becomes the whole second in which its first
    # sample lies; without it, each track's time starts with its own first sample
    one_clock: bool = False


#: In the order in which they are tried: the more it takes to look so, the earlier.
FORMATS = {
    each.name: each
    for each in (
        Format("parquet", "Parquet tables", parquet),
        Format("gpx", "GPX", gpx),
        Format("sumo", "SUMO's FCD output", sumo, one_clock=True),
        Format("geolife", "Geolife's PLT files", geolife, called=geolife.trajectory_name),
        Format("ns2", "setdest movement of ns-2", ns2, one_clock=True),
        Format("csv", "CSV with a line of names (id, time, x, y or lat, lon)", csvfile),
        Format(
            "bonnmotion",
            "one node a line, seconds, x and y of each waypoint",
            bonnmotion,
            one_clock=True,
        ),
        Format("crawdad", "one person a file, lines of seconds, x and y", crawdad),
    )
}


def find_format(path: Path, files: Sequence[Path], name: str) -> tuple[Format, list[Path]]:
    """Return the format of a data set, and which of its files have it.

    A file whose beginning no format recognises counts as one of the set, and as malformed, where
    it has the ending of files that are recognised; others are left alone. `name` is that of a
    format that is known to be theirs, or "auto". Raises TraceError if no file is recognised, or
    files of several formats are.
    """
    if name not in ("auto", *FORMATS):
        raise TraceError(unknown_name("trace format", name, FORMATS))
    candidates = [each for each in FORMATS.values() if name in ("auto", each.name)]
    by_format: dict[str, list[Path]] = {}
    for file in files:
        beginning = head(file)
        if found := next((each for each in candidates if each.module.recognises(beginning)), None):
            by_format.setdefault(found.name, []).append(file)
    if len(by_format) > 1:
        listed = "; ".join(f"{name}: {_some(its)}" for name, its in sorted(by_format.items()))
        raise TraceError(
            f"{path}: holds files of several formats ({listed}); name one with --trace-format"
        )
    if not by_format and not any(head(file).raw for file in files):
        raise TraceError(f"{path}: empty; {_some(files)} holds not a single byte")
    if not by_format and name == "auto":
        if len(files) == 1 and ".csv" in files[0].suffixes:
            csvfile.check_names(files[0])  # which may say better what is missing
        looked_for = "; ".join(f"{each.name}: {each.looks}" for each in FORMATS.values())
        raise TraceError(f"{path}: no traces found in {_some(files)}; looked for {looked_for}")
    chosen, recognised = next(iter(by_format.items()), (name, files))
    endings = {file.suffix.lower() for file in recognised}
    return FORMATS[chosen], [file for file in files if file.suffix.lower() in endings]


def _some(files: Sequence[Path]) -> str:
    names = ", ".join(file.name for file in files[:_SHOWN_FILES])
    more = len(files) - _SHOWN_FILES
    return f"{names} and {more} more" if more > 0 else names
