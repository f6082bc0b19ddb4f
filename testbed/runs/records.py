"""Every process writes its rows as they happen; they are read back as the run's tables."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from testbed.errors import TestbedError
from testbed.runs.tables import CAPTURE_TABLES, TABLES, Column
from testbed.runs.whole_files import written_whole

if TYPE_CHECKING:  # nodes only write rows, and do without
    import pandas as pd

RECORDS_FOLDER = "records"

_KINDS: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "int64": int,
    "float64": (int, float),
    "bool": bool,
    "boolean": bool,
}


class RecordWriter:
    """Appends a process's rows to the run folder as they happen; close it, or use `with`.

    Each row is written at once, so that killing the process loses at most the row in the making.
    `process` names the writer's files and must be unique within the run.
    """

    def __init__(self, run_dir: Path, process: str) -> None:
        self._folder = run_dir / RECORDS_FOLDER
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = process
        self._files: dict[str, TextIO] = {}

    def __enter__(self) -> RecordWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def append(self, table: str, **row: Any) -> None:
        """Append a row; TypeError if a column is missing, unknown or of another type."""
        _validate(table, row)
        if table not in self._files:
            path = self._folder / f"{table}.{self._process}.jsonl"
            self._files[table] = path.open("a", buffering=1, encoding="utf-8")
        self._files[table].write(json.dumps(row, allow_nan=False) + "\n")

    def close(self) -> None:
        """Close the files; the rows stay."""
        for file in self._files.values():
            file.close()
        self._files.clear()


def _validate(table: str, row: Mapping[str, Any]) -> None:
    columns = {column.name: column for column in (TABLES | CAPTURE_TABLES)[table]}
    if wrong := columns.keys() ^ row.keys():
        raise TypeError(f"{table}: columns missing or unknown: {', '.join(sorted(wrong))}")
    for name, value in row.items():
        column = columns[name]
        if value is None and column.nullable:
            continue
        kind = _KINDS[column.dtype]
        # bool is an int to Python, and no number to a reader
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(f"{table}.{name}: {value!r} is no {column.dtype}")
        if isinstance(value, float) and not math.isfinite(value):
            raise TypeError(f"{table}.{name}: {value!r} is not finite; write None for no value")


def collect(run_dir: Path) -> None:
    """Turn the rows of all processes into the run's tables and remove the rows.

    Queries stand in their order, client by client; other rows as each process wrote them.
    A last line that was torn by a kill is left out. Each of TABLES is written, an empty one with
    its columns; a folder whose rows were collected before is left as it is.
    """
    import pandas as pd

    folder = run_dir / RECORDS_FOLDER
    for table, columns in (TABLES | CAPTURE_TABLES).items():
        rows = [row for path in sorted(folder.glob(f"{table}.*.jsonl")) for row in _read_rows(path)]
        if rows or (table in TABLES and not has_table(run_dir, table)):
            frame = pd.DataFrame(rows, columns=[column.name for column in columns])
            if table == "queries":  # one that is executed again is written when that is done
                frame = frame.sort_values(["client", "query"], kind="stable")
            write_table(run_dir, table, frame)
    shutil.rmtree(folder, ignore_errors=True)


def _read_rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith("\n"):
                return
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise TestbedError(f"{path}:{number}: is no record: {error}") from error


def write_table(run_dir: Path, table: str, frame: pd.DataFrame) -> None:
    """Write a table with the declared columns and dtypes as `<table>.parquet`, whole or not."""
    dtypes = {column.name: column.dtype for column in (TABLES | CAPTURE_TABLES)[table]}
    with written_whole(_table_path(run_dir, table)) as file:
        frame[list(dtypes)].astype(dtypes).to_parquet(file, index=False)


def has_table(run_dir: Path, table: str) -> bool:
    """Whether the run folder has this table."""
    return _table_path(run_dir, table).is_file()


def read_table(run_dir: Path, table: str) -> pd.DataFrame:
    """Return one of a run's tables; TestbedError if the run folder has none that is sound."""
    import pandas as pd

    path = _table_path(run_dir, table)
    if not has_table(run_dir, table):
        raise TestbedError(f"{path}: not found; is {run_dir} the folder of a finished run?")
    try:
        frame = pd.read_parquet(path)
    except OSError as error:
        raise TestbedError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # of pyarrow
        raise TestbedError(f"{path}: is no whole Parquet file: {error}") from error
    columns = (TABLES | CAPTURE_TABLES)[table]
    for column in columns:
        if column.nullable and column.name not in frame:  # a run of an earlier version
            frame[column.name] = pd.Series(None, frame.index, column.dtype)
    if missing := [column.name for column in columns if column.name not in frame]:
        raise TestbedError(f"{path}: lacks columns of {table}: {', '.join(missing)}")
    for column in columns:
        if not _is_sound(frame[column.name], column):
            raise TestbedError(f"{path}: {column.name} holds values that cannot be")
    return frame


def _is_sound(values: pd.Series, column: Column) -> bool:
    import numpy as np
    from pandas.api import types

    if column.dtype == "string":
        kind = not len(values) or types.is_string_dtype(values) or values.isna().all()
    elif column.dtype in ("bool", "boolean"):
        kind = values.isin([True, False]).where(values.notna(), True).all()
    else:
        kind = types.is_numeric_dtype(values) and not types.is_bool_dtype(values)
    if not kind or (not column.nullable and values.isna().any()):
        return False
    if column.dtype not in ("int64", "float64"):
        return True
    if column.dtype == "int64" and not column.signed and (values < 0).any():
        return False
    return not np.isinf(values.to_numpy(float, na_value=np.nan)).any()


def read_tables(run_dir: Path) -> dict[str, pd.DataFrame]:
    """Return all of a run's tables by name."""
    return {table: read_table(run_dir, table) for table in TABLES}


def _table_path(run_dir: Path, table: str) -> Path:
    return run_dir / f"{table}.parquet"
