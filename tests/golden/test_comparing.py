"""Only what rounding explains may differ from what is expected."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tests.golden.comparing import differences, rows, sorted_text


@pytest.mark.parametrize(
    ("expected", "found", "equal"),
    [
        (0.1 + 0.2, 0.3, True),
        (1e9, 1e9 + 0.5, True),
        (0.0, 1e-12, True),
        (0.3, 0.3000001, False),
        (3, 4, False),
        (3, 3.0, False),
        (True, 1, False),
        (None, 0.0, False),
        ({"a": [1.0, "x"]}, {"a": [1.0 + 1e-12, "x"]}, True),
        ({"a": [1.0, "x"]}, {"a": [1.0, "y"]}, False),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ([1, 2], [1], False),
    ],
)
def test_numbers_may_differ_by_a_billionth_and_nothing_else(
    expected: Any, found: Any, equal: bool
) -> None:
    assert (not list(differences(expected, found))) is equal


def test_where_something_differs_is_said() -> None:
    (difference,) = differences({"a": [{"b": 1}]}, {"a": [{"b": 2}]})
    assert difference == ".a[0].b: 1 is expected, and 2 was found"


def test_tables_are_read_with_numbers_as_numbers() -> None:
    table = pd.DataFrame({"who": ["b", "a"], "n": [1, 2], "s": [0.5, float("nan")], "hit": [1, 0]})
    text = sorted_text(table.astype({"hit": bool}))
    assert text == "who,n,s,hit\na,2,,False\nb,1,0.5,True\n"
    assert rows(text)[1] == {"who": "b", "n": 1, "s": 0.5, "hit": "True"}
