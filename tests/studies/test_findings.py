"""What a study found: kept, printed as JSON or as tables for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from testbed.runs.folder import RunFolder
from testbed.studies.difference_tables import first_interval
from testbed.studies.findings import (
    Column,
    Findings,
    Table,
    gather,
    means,
    percent,
    plain,
    spread_of,
)

SPLITS = pd.DataFrame({"hits": [0.25, 0.75], "error_m": [12.0, math.nan]})


def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.at(tmp_path / "out")


def test_rows_are_kept_and_printed_with_null_for_what_is_no_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"name": "a", "hits": math.nan, "of": {"peak": [math.inf, 1.5]}, "met": True}]
    found = Findings(rows, ["for people"], more={"goals": [{"goal": -math.inf}]})
    found.deliver(folder(tmp_path), as_json=True)
    printed = capsys.readouterr()
    content = json.loads(printed.out)
    assert content == {
        "rows": [{"name": "a", "hits": None, "of": {"peak": [None, 1.5]}, "met": True}],
        "goals": [{"goal": None}],
    }
    assert json.loads((tmp_path / "out" / "rows.json").read_text()) == content
    assert printed.err == f"files: {tmp_path / 'out'}\n"
    assert math.isnan(rows[0]["hits"])  # what was found is left as it is


def test_people_see_sentences_tables_and_where_figures_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = (
        plain("policy"),
        plain("people", "n", ",.0f"),
        percent("hits, %", "hits", 2),
        Column("twice", lambda row: 2 * row["n"]),
    )
    rows = [{"policy": "perdnn", "n": 1234, "hits": 0.12345}]
    shown = ["A sentence.", Table(columns, rows, "A title")]
    figures = [tmp_path / "a.png", tmp_path / "b.svg"]
    Findings(rows, shown, figures).deliver(folder(tmp_path), as_json=False)
    printed = capsys.readouterr()
    sentence, title, heading, line = (text.rstrip() for text in printed.out.splitlines())
    assert (sentence, title) == ("A sentence.", "A title")
    assert heading.split("  ") == ["policy", "people", "hits, %", "twice"]
    assert line.split() == ["perdnn", "1,234", "12.35", "2,468"]
    assert f"figures: {figures[0]}, {figures[1]}\n" in printed.err
    assert json.loads((tmp_path / "out" / "rows.json").read_text()) == {"rows": rows}


def test_a_mean_over_splits_has_a_deviation() -> None:
    row = means(SPLITS, ["hits"])
    assert row == {"hits": 0.5, "hits_sd": 0.25}
    assert spread_of("hits, %", "hits", 100).cell(row) == "50.0 ± 25.0"


def test_of_one_split_no_deviation_is_shown() -> None:
    row = means(SPLITS[:1], ["hits"])
    assert row["hits"] == 0.25 and math.isnan(row["hits_sd"])
    assert spread_of("hits, %", "hits", 100).cell(row) == "25.0"


def test_what_was_measured_in_no_split_is_a_dash() -> None:
    assert spread_of("error, m", "error_m").cell(means(SPLITS[1:], ["error_m"])) == "-"


def test_what_was_measured_before_ctrl_c_is_returned_with_its_status(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def measured() -> Iterator[int]:
        yield from (1, 2)
        raise KeyboardInterrupt

    assert gather(measured()) == ([1, 2], 130)
    assert "kept" in capsys.readouterr().err
    assert gather(iter([1, 2, 3])) == ([1, 2, 3], 0)


def test_what_could_not_be_measured_is_a_dash() -> None:
    assert plain("people", form=".1f").cell({"people": math.nan}) == "-"
    assert plain("people", form=".1f").cell({"people": 2.0}) == "2.0"


@pytest.mark.parametrize(
    ("intervals", "said"),
    [([7.0], "7"), ([7.0, 7.0], "7"), ([7.0, 8.0], "differs"), ([math.nan], "-")],
)
def test_when_the_highest_uplink_was_is_said_for_one_split_too(
    intervals: list[float], said: str
) -> None:
    splits = pd.DataFrame({"first_interval": intervals})
    assert first_interval(means(splits, ["first_interval"])) == said
