"""Conditions on variables: what they mean, and what they cannot reach."""

from __future__ import annotations

from itertools import product
from typing import Any

import pandas as pd
import pytest

from testbed.errors import ConfigurationError
from testbed.sweep.constraint import satisfying

ROWS: list[dict[str, Any]] = [
    {"policy": policy, "radius": radius, "traces.gap_s": gap_s, "input-shape": "1x3"}
    for policy, radius, gap_s in product(("ionn", "perdnn"), (50, 75.5), (None, 60))
]
ALSO = {"migration.policy": "policy", "migration.radius_m": "radius"}


@pytest.mark.parametrize(
    "condition",
    [
        "policy == 'perdnn' or radius == 50",
        "policy == 'perdnn' & radius > 50",
        "policy == 'a & b | c' | radius != 50",
        "not (policy in ['ionn', 'visits'])",
        "policy not in ('ionn',) and 50 < radius <= 100",
        "~(radius == 50)",
        "`traces.gap_s` == 60",
        "`traces.gap_s` != 60",
        "radius * 2 - 1 >= 99 + 1 and -radius < -(50 // 1) % 7",
        'policy == "perdnn"',
        "radius == [50, 60]",
    ],
)
def test_it_means_what_query_means(condition: str) -> None:
    """The same rows as pandas takes, but for the names in backticks, which here reach the same."""
    frame = pd.DataFrame(ROWS)
    expected = frame.index.isin(frame.query(condition, engine="python").index).tolist()
    assert satisfying(ROWS, [condition], ALSO) == expected
    assert 0 < sum(expected) < len(ROWS)


def test_several_hold_together_and_paths_are_names_too() -> None:
    conditions = ["`migration.policy` == 'perdnn'", "`migration.radius_m` > 60", "radius < 80"]
    met = satisfying(ROWS, conditions, ALSO)
    assert [row["radius"] for row, yes in zip(ROWS, met, strict=True) if yes] == [75.5, 75.5]
    assert sum(satisfying(ROWS, ["`input-shape` == '1x3'"], ALSO)) == len(ROWS)


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('touch pwned')",
        "policy.__class__.__mro__ == 1",
        "policy.str.len() > 1",
        "policy['a'] == 1",
        "@policy == 1",
        "@pd.io.common.os.system('touch pwned') == 1",
        "(lambda: 1)() == 1",
        "[x for x in radius] == 1",
        "radius ** 9 ** 9 == 1",
        "radius if radius else radius",
        "f'{radius}' == '50'",
        "(radius := 50) == 50",
        "radius == 50; radius",
        "radius = 50",
        "radius is None",
        "radius == None",
        "sin(radius) > 0",
        "index == 0",
        "__builtins__ == 1",
        "polcy == 'ionn'",
        "radius == `no such`",
        "radius == 50 @ radius",
        "radius ==",
        "",
        "radius",
        "1 == 1",
        "radius > 'a'",
        "'\x00' == policy and \x00",
    ],
)
def test_whatever_else_it_would_do_is_refused(condition: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        satisfying(ROWS, [condition], ALSO)
    assert repr(condition) in str(refused.value)
