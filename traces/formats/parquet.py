"""Tables in Parquet files, with the same columns as in CSV (`traces.formats.csvfile`)."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from testbed.errors import TraceError
from traces.formats.columns import Columns, find_columns
from traces.formats.tabular import TableColumns, rows_of
from traces.recording import Content, Dropped, ReadingRules
from traces.trace_files import Head

_MAGIC = b"PAR1"


def recognises(head: Head) -> bool:
    """Say whether a file begins as Parquet files do."""
    return head.raw.startswith(_MAGIC)


def read(path: Path, name: str, reading: ReadingRules) -> Content:
    """Return everyone in the table; times given as dates are in seconds since 1970."""
    columns, rows = _rows(path, name)
    sound = rows.sound(columns.geographic)
    if not sound.all() and not reading.skip_bad:
        row = int(sound.argmin()) + 1
        raise TraceError(f"{path}: row {row}: time, position or id is missing or impossible")
    rows = rows.where(sound)
    on = rows.later()
    if not on.all() and reading.backwards == "refuse":
        row = int(sound.nonzero()[0][on.argmin()]) + 1
        raise TraceError(f"{path}: row {row}: time does not go on; it must increase")
    dropped = Dropped(bad_lines=int((~sound).sum()), backwards=int((~on).sum()))
    return Content(rows.where(on).tracks(), dropped, columns.geographic)


def _rows(path: Path, person: str) -> tuple[Columns, TableColumns]:
    try:
        with parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            columns = find_columns(path, names)
            places = (columns.time, columns.x, columns.y, columns.person)
            table = file.read([names[place] for place in places if place is not None])
        return columns, rows_of(table, names, columns, person)
    except (pa.ArrowException, OSError) as error:
        raise TraceError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
