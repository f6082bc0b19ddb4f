"""Reading files line by line: faults are named with file and line, or counted and skipped."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from testbed.arrays import FloatArray
from testbed.errors import TraceError
from traces.recording import Dropped, ReadingRules, Track

SHOWN = 60  # characters of a faulty line in the message

_AXES = 3
Sample = tuple[float, float, float]  # seconds, x, y


class LineError(ValueError):
    """What is wrong with a line; without file and line, which the caller knows."""


def number(text: str, what: str) -> float:
    """Return a finite number; LineError if the text is something else."""
    try:
        value = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise LineError(f"expected a finite number for {what}, found {text[:SHOWN]!r}")
    return value


def degrees(lat_text: str, lon_text: str) -> tuple[float, float]:
    """Return longitude and latitude, in this order: x and y.

    Raises LineError if they are no numbers, or lie beyond the Earth's.
    """
    lat_deg, lon_deg = number(lat_text, "latitude"), number(lon_text, "longitude")
    if abs(lat_deg) > 90:
        raise LineError(f"latitude {lat_deg:g} is not within -90 and 90 degrees")
    if abs(lon_deg) > 180:
        raise LineError(f"longitude {lon_deg:g} is not within -180 and 180 degrees")
    return lon_deg, lat_deg


class Collector:
    """Gathers one file's samples, track by track, and applies the rules to each line."""

    def __init__(self, path: Path, reading: ReadingRules) -> None:
        self.path = path
        self._reading = reading
        self._samples: dict[str, array[float]] = {}  # seconds, x and y one after the other
        self._bad_lines = 0
        self._backwards = 0

    def bad(self, line: int, fault: object) -> None:
        """Count a malformed line; TraceError where these are not skipped."""
        if not self._reading.skip_bad:
            raise TraceError(f"{self.path}:{line}: {fault}")
        self._bad_lines += 1

    def add(self, line: int, track: str, sample: Sample) -> None:
        """Add a sample to a track. One that is not later is left out, or a TraceError."""
        samples = self._samples.setdefault(track, array("d"))
        if samples and sample[0] <= samples[-_AXES]:
            if self._reading.backwards == "refuse":
                raise TraceError(
                    f"{self.path}:{line}: time goes from {samples[-_AXES]:.15g} s to"
                    f" {sample[0]:.15g} s; it must increase"
                )
            self._backwards += 1
        else:
            samples.extend(sample)

    def read(
        self,
        lines: Iterable[str],
        parse: Callable[[str], tuple[str, Sample] | None],
        first_line: int = 1,
    ) -> None:
        """Add what `parse` makes of each line: a track's name and a sample, or nothing."""
        for line, text in enumerate(lines, start=first_line):
            try:
                if (found := parse(text)) is not None:
                    self.add(line, *found)
            except LineError as fault:
                self.bad(line, fault)

    @property
    def dropped(self) -> Dropped:
        """What was left out so far."""
        return Dropped(bad_lines=self._bad_lines, backwards=self._backwards)

    def tables(self) -> Iterator[tuple[str, FloatArray]]:
        """Yield each track's name and rows of seconds, x and y, (n, 3)."""
        for name, samples in self._samples.items():
            yield name, np.array(samples).reshape(-1, _AXES)

    def tracks(self, person: Callable[[str], str] = str) -> tuple[Track, ...]:
        """Return the tracks in the order of their first samples; `person` says whose one is."""
        return tuple(Track(name, person(name), *table.T.copy()) for name, table in self.tables())


def later(time_s: FloatArray) -> np.ndarray:
    """Say which samples are later than all before them, (n,) of bool."""
    latest_s = np.maximum.accumulate(time_s)
    return np.concatenate(([True], time_s[1:] > latest_s[:-1]))[: len(time_s)]
