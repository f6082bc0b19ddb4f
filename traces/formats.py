"""The formats of traces, and finding out by their content which one files have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TraceError, unknown_name
from traces import bonnmotion, crawdad, csvfile, geolife, gpx, ns2, parquet, sumo
from traces.files import Head, head, trace_name
from traces.recording import Content, Reading

_SHOWN_FILES = 3


@dataclass(frozen=True)
class Format:
    """A format of traces.

    Args:
        name: what `--trace-format` takes.
        looks: how its files look, for people.
        recognises: says whether a file that begins so has this format.
        read: returns the content of a file, given its path, its name in the data set and the rules.
        called: returns the name of a file, given its path and that of the data set.
        one_clock: all tracks share a simulation's clock, whose 0 becomes the whole second in which
            its first sample lies; without it, each track's time starts with its own first sample.
    """

    name: str
    looks: str
    recognises: Callable[[Head], bool]
    read: Callable[[Path, str, Reading], Content]
    called: Callable[[Path, Path], str] = trace_name
    one_clock: bool = False


#: In the order in which they are tried: the more it takes to look so, the earlier.
FORMATS = {
    each.name: each
    for each in (
        Format("parquet", "Parquet tables", parquet.recognises, parquet.read),
        Format("gpx", "GPX", gpx.recognises, gpx.read),
        Format("sumo", "SUMO's FCD output", sumo.recognises, sumo.read, one_clock=True),
        Format(
            "geolife",
            "Geolife's PLT files",
            geolife.recognises,
            geolife.read,
            called=geolife.trajectory_name,
        ),
        Format("ns2", "setdest movement of ns-2", ns2.recognises, ns2.read, one_clock=True),
        Format(
            "csv",
            "CSV with a line of names (id, time, x, y or lat, lon)",
            csvfile.recognises,
            csvfile.read,
        ),
        Format(
            "bonnmotion",
            "one node a line, seconds, x and y of each waypoint",
            bonnmotion.recognises,
            bonnmotion.read,
            one_clock=True,
        ),
        Format(
            "crawdad",
            "one person a file, lines of seconds, x and y",
            crawdad.recognises,
            crawdad.read,
        ),
    )
}


def find_format(path: Path, files: Sequence[Path], name: str) -> tuple[Format, list[Path]]:
    """Return the format of a data set, and which of its files have it.

    A file whose beginning no format recognises counts as one of the set, and as malformed, where
    it has the ending of files that are recognised; others are left alone.

    Args:
        name: of a format that is known to be theirs; or "auto".

    Raises:
        TraceError: no file is recognised, or files of several formats are.
    """
    if name != "auto":
        if name not in FORMATS:
            raise TraceError(unknown_name("trace format", name, FORMATS))
        chosen = FORMATS[name]
        recognised = [file for file in files if chosen.recognises(head(file))]
    else:
        by_format = defaultdict(list)
        for file in files:
            if (found := recognise(head(file))) is not None:
                by_format[found.name].append(file)
        if len(by_format) > 1:
            raise TraceError(_mixed(path, by_format))
        if not by_format:
            raise TraceError(_unrecognised(path, files))
        (format_name, recognised), *_ = by_format.items()
        chosen = FORMATS[format_name]
    if not recognised:
        _refuse_empty(path, files)
    endings = {file.suffix.lower() for file in recognised or files}
    return chosen, [file for file in files if file.suffix.lower() in endings]


def recognise(beginning: Head) -> Format | None:
    """Return the format of a file that begins so, if it is a known one."""
    return next((each for each in FORMATS.values() if each.recognises(beginning)), None)


def _mixed(path: Path, by_format: dict[str, list[Path]]) -> str:
    found = "; ".join(f"{name}: {_some(files)}" for name, files in sorted(by_format.items()))
    return f"{path}: holds files of several formats ({found}); name one with --trace-format"


def _refuse_empty(path: Path, files: Sequence[Path]) -> None:
    if not any(head(file).raw for file in files):
        raise TraceError(f"{path}: empty; {_some(files)} holds not a single byte")


def _unrecognised(path: Path, files: Sequence[Path]) -> str:
    """Say that nothing was found; of a single table, which columns it lacks.

    Raises:
        TraceError: there is something better to say.
    """
    _refuse_empty(path, files)
    if len(files) == 1 and ".csv" in files[0].suffixes:
        csvfile.check_names(files[0])
    looked_for = "; ".join(f"{each.name}: {each.looks}" for each in FORMATS.values())
    return f"{path}: no traces found in {_some(files)}; looked for {looked_for}"


def _some(files: Sequence[Path]) -> str:
    names = ", ".join(file.name for file in files[:_SHOWN_FILES])
    more = len(files) - _SHOWN_FILES
    return f"{names} and {more} more" if more > 0 else names
