"""Data sets: which one a run takes where none is named, and what the paper keeps of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TraceError
from testbed.repository import REPOSITORY
from traces.campus.synthetic import SOURCE as CAMPUS
from traces.campus.synthetic import synthetic_campus
from traces.loading import load
from traces.projection import planar
from traces.recording import ReadingRules, Recording, recorded
from traces.trace import Between, TraceSet
from traces.trace_files import trace_files
from traces.window import GEOLIFE_WINDOW, KAIST_WINDOW, GeographicWindow, Window


@dataclass(frozen=True)
class Rules:
    """What applies to a data set where nothing else is asked for."""

    window: Window | GeographicWindow | None = None  # what is kept of it; None: everything
    gap_s: float | None = None  # a longer one cuts a trace; None: 1.5 times the usual interval
    interval_s: float = 30.0  # step between positions: KAIST's samples
    between: Between = "hold"  # how a position between two samples is made of them


# People log their way every 1 to 5 s; up to a minute without a sample breaks nothing off. At
# 10 m/s, holding a sample would be wrong by up to 50 m. The step is the paper's (section III.D).
_GEOLIFE = Rules(GEOLIFE_WINDOW, gap_s=60.0, interval_s=20.0, between="interpolate")
_KAIST = Rules(KAIST_WINDOW)


def own_rules(recording: Recording) -> Rules:
    """Return the rules of the data set that a recording is."""
    if recording.format == "geolife":
        return _GEOLIFE
    is_kaist = recording.format == "crawdad" and all(
        track.name.upper().startswith("KAIST") for track in recording.tracks
    )
    return _KAIST if is_kaist or recording.source == CAMPUS else Rules()


SYNTHETIC = "synthetic"  # the format of what is read from no file

DEFAULT_FOLDERS = (
    REPOSITORY / "traces" / "data" / "kaist",
    REPOSITORY.parent / "shared" / "data" / "kaist",
)


def find_traces(
    path: Path | None, seed: int, trace_format: str = "auto", reading: ReadingRules | None = None
) -> Recording:
    """Return the traces of `path`, or else KAIST's where found, or else the synthetic campus.

    The recording's `source` says which it was. The format "synthetic" asks for the campus, and has
    no path; `seed` matters to it alone. Raises TraceError if the traces cannot be read.
    """
    reading = reading or ReadingRules()
    if is_campus(path, trace_format):
        return campus(seed, reading)
    return load(path, trace_format, reading) if path else load(_defaults()[0], "crawdad", reading)


def is_campus(path: Path | None, trace_format: str = "auto") -> bool:
    """Return whether a seed matters: to the synthetic campus alone. TraceError if it has a path."""
    if path is None:
        return trace_format == SYNTHETIC or not _defaults()
    if trace_format == SYNTHETIC:
        raise TraceError(f"{path}: the synthetic campus is not read from files; name no path")
    return False


def _defaults() -> list[Path]:
    return [folder for folder in DEFAULT_FOLDERS if trace_files(folder)]


def campus(seed: int, reading: ReadingRules) -> Recording:
    """Return the synthetic campus; what is read from no file is sampled as waypoints are."""
    return recorded(synthetic_campus(seed, interval_s=reading.sample_s), SYNTHETIC)


def load_folder(folder: Path) -> TraceSet:
    """Return the days of a folder as they are: uncropped, with copies."""
    recording = load(folder, "crawdad", ReadingRules(backwards="refuse", duplicates="keep"))
    return TraceSet(planar(recording.tracks), recording.source, recording.interval_s)
