"""Loader for the CRAWDAD format of ncsu/mobilitymodels (KAIST and its sister sites).

One text file is one person's day; each line holds, separated by white space, seconds, x in metres
and y in metres. Every `*.txt` directly in the folder is a trace, except those whose name starts
with README, SOURCE, LICENSE, LICENCE or COPYING.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np

from testbed.errors import TraceError
from traces.trace import FloatArray, Trace, TraceSet

COLUMNS = 3
_NOT_TRACES = ("README", "SOURCE", "LICENSE", "LICENCE", "COPYING")


def trace_files(folder: Path) -> list[Path]:
    """Return the folder's trace files sorted by name; none if there is no such folder."""
    return sorted(
        path
        for path in folder.glob("*.txt")
        if path.is_file() and not path.name.upper().startswith(_NOT_TRACES)
    )


def load_folder(folder: Path) -> TraceSet:
    """Return all traces of a folder, named by their files' stems.

    Raises:
        TraceError: the folder is missing or holds no trace, or a file is malformed.
    """
    if not folder.is_dir():
        raise TraceError(f"{folder}: no such folder of traces")
    files = trace_files(folder)
    if not files:
        raise TraceError(
            f"{folder}: no trace files; expected *.txt with lines of seconds, x and y in metres"
        )
    traces = tuple(load_file(path) for path in files)
    steps_s = np.concatenate([np.diff(trace.time_s) for trace in traces])
    if not len(steps_s):
        raise TraceError(f"{folder}: no trace has two samples, so nobody moves")
    return TraceSet(traces, folder.resolve().name, float(np.median(steps_s)))


def load_file(path: Path) -> Trace:
    """Return one person's day, its time counted from its first sample.

    Raises:
        TraceError: the file is empty, or a line (which is named) is not three finite numbers or
            not later than the one before it.
    """
    time_s, x_m, y_m = _table(path).T.copy()
    return Trace(path.stem, path.stem, time_s - time_s[0], x_m, y_m)


def _table(path: Path) -> FloatArray:
    """Return the file's numbers, (n, 3); only a faulty file is read line by line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # an empty file, an error below
            table = np.loadtxt(path, ndmin=2, comments=None, encoding="utf-8")
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TraceError(_first_fault(path) or f"{path}: {error}") from error
    if not table.size:
        raise TraceError(f"{path}: holds no samples")
    sound = (
        table.shape[1] == COLUMNS
        and bool(np.isfinite(table).all())
        and bool((np.diff(table[:, 0]) > 0).all())
    )
    if not sound:
        raise TraceError(_first_fault(path) or f"{path}: is not a table of seconds, x and y")
    return table


def _first_fault(path: Path) -> str | None:
    """Return "PATH:LINE: what is wrong" for the first faulty line."""
    before_s = -math.inf
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            if not fields:
                continue
            fault, before_s = _fault(fields, before_s)
            if fault:
                return f"{path}:{number}: {fault}"
    return None


def _fault(fields: list[str], before_s: float) -> tuple[str | None, float]:
    """Return what is wrong with a line, if anything is, and the line's time."""
    shown = " ".join(fields)[:60]
    if len(fields) != COLUMNS:
        return f"expected seconds, x and y, found {len(fields)} fields in {shown!r}", before_s
    try:
        values = [float(field) for field in fields]
    except ValueError:
        return f"expected three numbers, found {shown!r}", before_s
    if not all(math.isfinite(value) for value in values):
        return f"expected finite numbers, found {shown!r}", before_s
    if values[0] <= before_s:
        return f"time goes from {before_s:g} s to {values[0]:g} s; it must increase", before_s
    return None, values[0]
