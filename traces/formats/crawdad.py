"""The CRAWDAD format of ncsu/mobilitymodels (KAIST and its sister sites).

One text file is one person's day; each line holds, separated by white space, seconds, x in metres
and y in metres. In a folder, notes (README, SOURCE, LICENSE, LICENCE, COPYING) are no traces.

Source: I. Rhee et al., "CRAWDAD dataset ncsu/mobilitymodels (v. 2009-07-23)", July 2009.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from testbed.arrays import FloatArray
from traces.formats.lines import SHOWN, Collector, LineError, Sample, later, number
from traces.recording import Content, Dropped, ReadingRules, Track
from traces.trace_files import Head, open_text

COLUMNS = 3


def recognises(head: Head) -> bool:
    """Say whether at least half of the first lines are three numbers."""
    return 2 * sum(map(_is_sample, head.lines)) >= max(len(head.lines), 1)


def read(path: Path, name: str, reading: ReadingRules) -> Content:
    """Return one person's day, called after its file."""
    table = _table(path)
    if table is not None:
        on = later(table[:, 0])
        if on.all() or reading.backwards == "drop":
            track = Track(name, name, *table[on].T.copy())
            return Content((track,), Dropped(backwards=int((~on).sum())))
    collector = Collector(path, reading)
    with open_text(path) as lines:
        collector.read(lines, lambda line: (name, sample) if (sample := _parse(line)) else None)
    return Content(collector.tracks(), collector.dropped)


def _table(path: Path) -> FloatArray | None:
    """Return the file's numbers, (n, 3), or None: it has to be read line by line."""
    try:
        with warnings.catch_warnings(), open_text(path) as lines:
            warnings.simplefilter("ignore", UserWarning)  # an empty file
            table = np.loadtxt(lines, ndmin=2, comments=None)
    except ValueError:
        return None
    sound = table.size and table.shape[1] == COLUMNS and np.isfinite(table).all()
    return table if sound else None


def _is_sample(line: str) -> bool:
    try:
        return _parse(line) is not None
    except LineError:
        return False


def _parse(line: str) -> Sample | None:
    fields = line.split()
    if not fields:
        return None
    if len(fields) != COLUMNS:
        shown = " ".join(fields)[:SHOWN]
        raise LineError(f"expected seconds, x and y, found {len(fields)} fields in {shown!r}")
    time_s, x_m, y_m = map(number, fields, ("seconds", "x", "y"))
    return time_s, x_m, y_m
