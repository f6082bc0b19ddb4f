"""Differences from the paper's figures, run as a user does on few people."""

from __future__ import annotations

from pathlib import Path

from tests.experiments.scripts import FEW, printed


def test_differences_from_the_paper_are_taken_apart(tmp_path: Path) -> None:
    row, *more = printed("paper_differences", tmp_path / "out", *FEW, "--models", "resnet")["rows"]
    assert not more
    assert 0 < row["hits_50"] <= row["chosen_50"] <= row["chosen_100"] < 1
    assert 1 < row["queries_nothing"] < row["queries_everything"] < 60
    assert 0 < row["back_5"] <= row["back_10"] < 1
    assert row["later_mbps"] <= row["first_mbps"]
    assert row["first_clients"] >= 1
    assert 0 < row["sent_lost"] < row["own_lost"] < 1  # who is not limited in receiving loses less
    assert row["own_mbps"] < row["first_mbps"]
