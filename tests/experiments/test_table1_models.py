"""Table I as printed: the paper's figures beside those of the models built here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.scripts import ended, printed


def test_rows_of_table_1(tmp_path: Path) -> None:
    found = printed("table1_models", tmp_path / "out")["rows"]
    rows = {row["model"]: row for row in found}
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


def test_the_table_for_people_says_why_mobilenet_differs(tmp_path: Path) -> None:
    process = ended("table1_models", "--out", str(tmp_path / "out"))
    assert process.returncode == 0, process.stderr
    table, note = process.stdout.split("\n\n", 1)
    cells = {line.split()[0]: line.split()[1:] for line in table.splitlines()[2:]}
    assert cells["mobilenet"][:4] == ["112", "110", "111", "0"]
    assert cells["inception"][:4] == ["312", "312", "301", "10"]
    assert cells["resnet"][:4] == ["245", "245", "228", "16"]
    assert "`prob`" in note
