"""Table I as printed: the paper's figures beside those of the models built here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "table1_models.py"


def printed(*arguments: str) -> str:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout


def test_rows_of_table_1() -> None:
    rows = {row["model"]: row for row in json.loads(printed("--json"))["rows"]}
    assert list(rows) == ["mobilenet", "inception", "resnet"]
    for model in ("inception", "resnet"):
        assert rows[model]["layers"] == rows[model]["paper_layers"]
    assert [row["paper_layers"] for row in rows.values()] == [110, 312, 245]
    # the published definition has the softmax, which Table I leaves out, as it does the input
    assert rows["mobilenet"]["layers"] == 110 + 2
    for row in rows.values():
        assert row["layers"] == row["executed_layers"] + row["copies"] + 1
        assert round(row["weight_bytes"] / 2**20) == row["paper_mib"]
    # Howard et al. 2017 give 569 million for MobileNet, He et al. 2016 3.8 billion for ResNet-50
    assert round(rows["mobilenet"]["multiply_adds"] / 1e6) == 569
    assert rows["resnet"]["multiply_adds"] == pytest.approx(3.8e9, rel=0.02)


def test_the_table_for_people_says_why_mobilenet_differs() -> None:
    table, note = printed().split("\n\n", 1)
    cells = {line.split()[0]: line.split()[1:] for line in table.splitlines()[2:]}
    assert cells["mobilenet"][:4] == ["112", "110", "111", "0"]
    assert cells["inception"][:4] == ["312", "312", "301", "10"]
    assert cells["resnet"][:4] == ["245", "245", "228", "16"]
    assert "`prob`" in note
