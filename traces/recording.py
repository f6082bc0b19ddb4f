"""What the files of a data set hold, as recorded: positions in the files' own coordinates."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from functools import cached_property
from operator import add
from typing import ClassVar, Literal

import numpy as np

from testbed.arrays import FloatArray
from traces.trace import Samples, TraceSet


@dataclass(frozen=True)
class ReadingRules:
    """How files are read."""

    skip_bad: bool = False  # malformed lines are counted and skipped; else the first is an error
    # Samples not later than all before them are counted and left out, or the first is an error
    backwards: Literal["drop", "refuse"] = "drop"
    duplicates: Literal["drop", "keep"] = "drop"  # "drop": copies of earlier files, counted
    sample_s: float = 1.0  # step at which movement that is given by its waypoints is sampled


@dataclass(frozen=True, eq=False)
class Track(Samples):
    """One trace as its file gives it, with times on the clock of the file."""

    AXES: ClassVar = ("x", "y")

    x: FloatArray  # metres eastwards, or degrees of longitude, (n,)
    y: FloatArray  # metres northwards, or degrees of latitude, (n,)


@dataclass(frozen=True)
class Dropped:
    """How much was left out: lines, samples and whole files."""

    bad_lines: int = 0
    off_earth: int = 0  # positions
    backwards: int = 0  # samples
    duplicates: int = 0  # files
    unusable: int = 0  # files

    def __add__(self, other: Dropped) -> Dropped:
        return Dropped(*map(add, astuple(self), astuple(other)))


@dataclass(frozen=True, eq=False)
class Content:
    """What one file holds."""

    tracks: tuple[Track, ...]  # in the file's order; none where nothing in it is usable
    dropped: Dropped = Dropped()  # what was left out of them
    geographic: bool = False  # x and y are degrees (WGS 84) instead of metres


@dataclass(frozen=True, eq=False)
class Recording:
    """All tracks of one origin, before anything is cropped or resampled."""

    tracks: tuple[Track, ...]  # in a stable order; each counts time from its own start
    source: str  # what reports call them: the folder's name, or "synthetic campus"
    format: str  # name of the files' format
    files: int = 0  # how many files of the format there are
    dropped: Dropped = Dropped()  # what was left out of them
    geographic: bool = False  # x and y are degrees (WGS 84) instead of metres

    @property
    def people(self) -> tuple[str, ...]:
        """Everyone in the recording, in the order of their first track."""
        return tuple(dict.fromkeys(track.person for track in self.tracks))

    @cached_property
    def interval_s(self) -> float:
        """The usual time between two samples: the median, 0 where no track has two."""
        steps_s = np.concatenate([np.diff(track.time_s) for track in self.tracks])
        return float(np.median(steps_s)) if len(steps_s) else 0.0


def recorded(traces: TraceSet, trace_format: str) -> Recording:
    """Return traces that were not read from files."""
    tracks = tuple(Track(t.name, t.person, t.time_s, t.x_m, t.y_m) for t in traces.traces)
    return Recording(tracks, traces.source, trace_format)
