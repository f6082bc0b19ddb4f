"""What came out, as text that people can read, and how two such texts are compared.

Numbers with a fraction may differ by a billionth, as another processor adds them up in another
order; everything else is equal or it differs.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.api.types import is_float_dtype, is_numeric_dtype

#: Where what is expected is kept.
EXPECTED = Path(__file__).resolve().parent / "expected"
#: The variable that has what comes out kept as what is expected.
RENEW = "PERDNN_RENEW_GOLDEN"
TOLERANCE = 1e-9


def check(name: str, found: str) -> None:
    """Compare what came out with the file that holds what is expected, or renew it."""
    file = EXPECTED / name
    if os.environ.get(RENEW):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(found, encoding="utf-8")
        return
    read = {".json": json.loads, ".csv": rows}[file.suffix]
    expected = file.read_text(encoding="utf-8")
    wrong = list(differences(read(expected), read(found)))
    assert not wrong, f"{name} differs; if it should, {RENEW}=1 renews it:\n" + "\n".join(wrong)


def differences(expected: Any, found: Any, place: str = "") -> Iterator[str]:
    """Yield each place where what was found is not what is expected, and both."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in (*expected, *(key for key in found if key not in expected)):
            yield from differences(expected.get(key), found.get(key), f"{place}.{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            yield f"{place}: {len(expected)} entries are expected, and {len(found)} were found"
        for number, (one, other) in enumerate(zip(expected, found, strict=False)):
            yield from differences(one, other, f"{place}[{number}]")
    elif not same(expected, found):
        yield f"{place}: {expected!r} is expected, and {found!r} was found"


def same(expected: Any, found: Any) -> bool:
    """Return whether two values are equal, or nearly so where both have a fraction."""
    if type(expected) is float and type(found) is float:
        return bool(found == pytest.approx(expected, rel=TOLERANCE, abs=TOLERANCE))
    return type(expected) is type(found) and bool(expected == found)


def rows(text: str) -> list[dict[str, Any]]:
    """Return the rows of a table: numbers as such, everything else as text."""
    found = csv.DictReader(text.splitlines())
    return [{column: value_of(cell) for column, cell in row.items()} for row in found]


def value_of(cell: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell


def sorted_text(table: pd.DataFrame) -> str:
    """Return a table as CSV in an order that no rounding changes: by names, then by counts."""
    rounded = [column for column in table if is_float_dtype(table[column])]
    exact = [column for column in table if column not in rounded]
    in_order = table.sort_values(
        exact + rounded, key=lambda each: each if is_numeric_dtype(each) else each.map(str)
    )
    return table_text(in_order)


def table_text(table: pd.DataFrame) -> str:
    """Return a table as CSV, in its own order; numbers with all their digits."""
    return table.to_csv(index=False, lineterminator="\n")
