"""Tables of movement: one row a sample, with the person in a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from testbed.arrays import BoolArray, FloatArray, IntArray
from traces.formats.columns import Columns
from traces.formats.lines import later
from traces.recording import Track


@dataclass(frozen=True, eq=False)
class TableColumns:
    """The columns of a table, in the order of its rows."""

    time_s: FloatArray  # since 1970 where the table has dates, (n,); NaN where there is none
    x: FloatArray  # metres eastwards or degrees of longitude, (n,); NaN where there is none
    y: FloatArray  # metres northwards or degrees of latitude, (n,); NaN where there is none
    person: IntArray  # index into `people`, (n,); negative where there is none
    people: list[str]  # their names

    def sound(self, geographic: bool) -> BoolArray:
        """Say which rows are complete and, where they are geographic, on the Earth, (n,)."""
        sound = np.isfinite(self.time_s) & np.isfinite(self.x) & np.isfinite(self.y)
        if geographic:
            sound &= (np.abs(self.x) <= 180) & (np.abs(self.y) <= 90)
        return sound & (self.person >= 0)

    def where(self, chosen: BoolArray) -> TableColumns:
        """Return the chosen rows."""
        time_s, x, y = (column[chosen] for column in (self.time_s, self.x, self.y))
        return TableColumns(time_s, x, y, self.person[chosen], self.people)

    def later(self) -> BoolArray:
        """Say which rows are later than all rows of the same person before them, (n,)."""
        is_later = np.ones(len(self.time_s), dtype=bool)
        for rows in self._by_person():
            is_later[rows] = later(self.time_s[rows])
        return is_later

    def tracks(self) -> tuple[Track, ...]:
        """Return one track a person, in the order in which they come first."""
        runs = sorted(self._by_person(), key=lambda rows: rows[0])
        names = [self.people[self.person[rows[0]]] for rows in runs]
        return tuple(
            Track(name, name, self.time_s[rows], self.x[rows], self.y[rows])
            for name, rows in zip(names, runs, strict=True)
        )

    def _by_person(self) -> list[IntArray]:
        """Return the rows of each person, in their order."""
        order = np.argsort(self.person, kind="stable")
        turns = np.flatnonzero(np.diff(self.person[order])) + 1
        return np.split(order, turns) if len(order) else []


def rows_of(table: pa.Table, names: Sequence[str], columns: Columns, person: str) -> TableColumns:
    """Return an Arrow table's columns, of which `columns` says the places in `names`.

    All rows are `person`'s where the table has no ids. Raises pyarrow.ArrowException for a column
    that holds something else than is needed.
    """
    if columns.person is None:
        codes, people = np.zeros(len(table), dtype=np.int64), [person]
    else:
        ids = table[names[columns.person]]
        if not pa.types.is_dictionary(ids.type):
            ids = ids.cast(pa.string()).dictionary_encode()
        ids = ids.unify_dictionaries().combine_chunks()
        codes = ids.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        people = list(map(str, ids.dictionary.to_pylist()))
    x, y = (_numbers(table[names[index]]) for index in (columns.x, columns.y))
    return TableColumns(_seconds(table[names[columns.time]]), x, y, codes, people)


def _seconds(column: pa.ChunkedArray) -> FloatArray:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        try:
            return _numbers(column)
        except pa.ArrowInvalid:
            column = column.cast(pa.timestamp("us", "UTC"))
    if pa.types.is_temporal(column.type):
        column = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False)
        return _numbers(column.cast(pa.int64())) / 1e6
    return _numbers(column)


def _numbers(column: pa.ChunkedArray) -> FloatArray:
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
