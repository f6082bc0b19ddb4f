"""Tables as text: a line of names, then one line a sample.

Columns are found by their names in whatever case (`traces.formats.columns`): an id, a time in
seconds or ISO 8601, x and y in metres or lat and lon in degrees; others are not read. They are
separated by commas, semicolons, tabs, bars or single spaces, whichever the first line has. Without
an id, all lines are of one person, called after the file.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from traces.formats.columns import Columns, find_columns, looks_like_columns
from traces.formats.instants import has_zone, instant_s, is_instant
from traces.formats.lines import SHOWN, Collector, LineError, Sample, degrees, number
from traces.formats.tabular import TableColumns, rows_of
from traces.recording import Content, Dropped, ReadingRules
from traces.trace_files import Head, head, open_bytes, open_text

_SEPARATORS = (",", ";", "\t", "|", " ")


def recognises(head: Head) -> bool:
    """Say whether the first line names a time and a coordinate."""
    return bool(head.lines) and looks_like_columns(_fields(head.lines[0]))


def check_names(path: Path) -> None:
    """Raise TraceError where a first line looks like names, but not like those needed."""
    beginning = head(path)
    names = _fields(beginning.lines[0]) if beginning.lines else []
    if names and all(re.search(r"[^\W\d]", name) for name in names):
        find_columns(f"{path}:1", names)


def read(path: Path, name: str, reading: ReadingRules) -> Content:
    """Return everyone in the table; times given as dates are in seconds since 1970."""
    with open_text(path) as lines:
        heading, first = (next(lines, "").strip("\r\n") for _ in range(2))
    separator = _separator(heading)
    names = _fields(heading)
    columns = find_columns(f"{path}:1", names)
    rows = _rows(path, separator, len(names), columns, _time_type(first, separator, columns), name)
    if rows is not None:
        on = rows.later()
        if on.all() or reading.backwards == "drop":
            dropped = Dropped(backwards=int((~on).sum()))
            return Content(rows.where(on).tracks(), dropped, columns.geographic)
    collector = Collector(path, reading)
    with open_text(path) as lines:
        next(lines, None)
        table = csv.reader(lines, delimiter=separator)
        while True:
            try:
                if (row := next(table, None)) is None:
                    break
                if row:
                    person, sample = _parse(row, len(names), columns, name)
                    collector.add(table.line_num + 1, person, sample)
            except (csv.Error, LineError) as fault:
                collector.bad(table.line_num + 1, fault)
    return Content(collector.tracks(), collector.dropped, columns.geographic)


def _separator(heading: str) -> str:
    return max(_SEPARATORS, key=heading.count)


def _fields(line: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=_separator(line)), [])
    except csv.Error:
        return [line]


def _time_type(line: str, separator: str, columns: Columns) -> pa.DataType:
    """Return what the time in the first line of values is: a number, or a date of which kind."""
    fields = line.split(separator)
    cell = fields[columns.time].strip('"') if len(fields) > columns.time else ""
    if not is_instant(cell):
        return pa.float64()
    return pa.timestamp("us", "UTC" if has_zone(cell) else None)


def _rows(
    path: Path, separator: str, width: int, columns: Columns, time_type: pa.DataType, person: str
) -> TableColumns | None:
    """Return the table if it is sound from end to end; None: it has to be read line by line."""
    names = [str(index) for index in range(width)]
    types = {names[columns.time]: time_type}
    types |= {names[place]: pa.float64() for place in (columns.x, columns.y)}
    if columns.person is not None:
        types[names[columns.person]] = pa.dictionary(pa.int32(), pa.string())
    reading = arrow_csv.ReadOptions(skip_rows=1, column_names=names)
    parsing = arrow_csv.ParseOptions(delimiter=separator)
    converting = arrow_csv.ConvertOptions(
        include_columns=list(types), column_types=types, null_values=[]
    )
    try:
        with open_bytes(path) as file:
            table = arrow_csv.read_csv(file, reading, parsing, converting)
        rows = rows_of(table, names, columns, person)
    except pa.ArrowException:
        return None
    tidy = all(each and each == each.strip() for each in rows.people)
    return rows if tidy and rows.sound(columns.geographic).all() else None


def _parse(row: list[str], width: int, columns: Columns, person: str) -> tuple[str, Sample]:
    if len(row) != width:
        raise LineError(f"expected {width} fields, found {len(row)} in {' '.join(row)[:SHOWN]!r}")
    if columns.person is not None and not (person := row[columns.person].strip()):
        raise LineError("it has no id")
    time = row[columns.time]
    time_s = instant_s(time) if is_instant(time) else number(time, "seconds")
    if columns.geographic:
        return person, (time_s, *degrees(row[columns.y], row[columns.x]))
    return person, (time_s, number(row[columns.x], "x"), number(row[columns.y], "y"))
