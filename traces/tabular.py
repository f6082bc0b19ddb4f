"""Tables of movement in columns: one row a sample, of whoever it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from traces.columns import Columns
from traces.lines import later
from traces.recording import Track
from traces.trace import FloatArray


@dataclass(frozen=True, eq=False)
class Rows:
    """The columns of a table, in the order of its rows.

    Args:
        time_s: seconds, since 1970 where the table has dates, (n,); NaN where there is none.
        x: metres eastwards or degrees of longitude, (n,); NaN where there is none.
        y: metres northwards or degrees of latitude, (n,); NaN where there is none.
        person: index into `people`, (n,); negative where there is none.
        people: their names.
    """

    time_s: FloatArray
    x: FloatArray
    y: FloatArray
    person: npt.NDArray[np.int64]
    people: list[str]

    def __len__(self) -> int:
        return len(self.time_s)

    def sound(self, geographic: bool) -> npt.NDArray[np.bool_]:
        """Say which rows are complete and, where they are geographic, on the Earth, (n,)."""
        sound = np.isfinite(self.time_s) & np.isfinite(self.x) & np.isfinite(self.y)
        if geographic:
            sound &= (np.abs(self.x) <= 180) & (np.abs(self.y) <= 90)
        return sound & (self.person >= 0)

    def where(self, chosen: npt.NDArray[np.bool_]) -> Rows:
        """Return the chosen rows."""
        return Rows(
            self.time_s[chosen], self.x[chosen], self.y[chosen], self.person[chosen], self.people
        )

    def later(self) -> npt.NDArray[np.bool_]:
        """Say which rows are later than all rows of the same person before them, (n,)."""
        order = np.argsort(self.person, kind="stable")
        is_later = np.ones(len(self), dtype=bool)
        for rows in _runs(order, self.person[order]):
            is_later[rows] = later(self.time_s[rows])
        return is_later

    def tracks(self) -> tuple[Track, ...]:
        """Return one track a person, in the order in which they come first."""
        order = np.argsort(self.person, kind="stable")
        runs = sorted(_runs(order, self.person[order]), key=lambda rows: rows[0])
        names = [self.people[self.person[rows[0]]] for rows in runs]
        return tuple(
            Track(name, name, self.time_s[rows], self.x[rows], self.y[rows])
            for name, rows in zip(names, runs, strict=True)
        )


def rows_of(table: pa.Table, names: Sequence[str], columns: Columns, person: str) -> Rows:
    """Return an Arrow table's columns, of which `columns` says the places in `names`.

    All rows are `person`'s where the table has no ids.

    Raises:
        pyarrow.ArrowException: a column holds something else than is needed.
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
    return Rows(_seconds(table[names[columns.time]]), x, y, codes, people)


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
    numbers: FloatArray = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers


def _runs(
    order: npt.NDArray[np.int64], sorted_codes: npt.NDArray[np.int64]
) -> list[npt.NDArray[np.int64]]:
    """Return the rows of each code, in their order."""
    return np.split(order, np.flatnonzero(np.diff(sorted_codes)) + 1) if len(order) else []
