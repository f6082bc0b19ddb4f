"""The curve of offers, run as a user does on made-up people."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.experiments.scripts import ended, printed


def test_offers_are_counted_for_each_choice_of_servers(walks: Path, tmp_path: Path) -> None:
    arguments = ("--traces", str(walks), "--splits", "1")
    content = printed("visits_offers", tmp_path / "out", *arguments)
    curves = pd.DataFrame(content["rows"])
    for choice, ordered in (("circles", 1), ("circles, held", 1), ("visits", -1)):
        points = curves[curves["choice"] == choice].sort_values("parameter")[::ordered]
        assert (points["hit_ratio"].diff().dropna() >= 0).all(), choice
        assert (points["offers_per_prediction"].diff().dropna() >= 0).all(), choice
    oracle = curves[curves["choice"] == "oracle"].iloc[0]
    assert oracle["hit_ratio"] == 1
    assert [each["intervals"] for each in content["reliability"]] == [1, 2, 3, 4, 5]
    for each in content["reliability"]:
        assert 0 < each["brier"] < each["brier_base"]


def test_people_who_never_change_server_are_no_traceback(tmp_path: Path) -> None:
    for person in range(4):
        lines = [f"{10 * i} {person} 0\n" for i in range(60)]
        (tmp_path / f"p{person}.txt").write_text("".join(lines))
    process = ended("visits_offers", "--traces", str(tmp_path), "--out", str(tmp_path / "a"))
    assert process.returncode == 2
    assert "changes server" in process.stderr.replace("\n", " ")
    arguments = ("--traces", str(tmp_path), "--splits", "1")
    rows = printed("fig6_trajectory_interval", tmp_path / "b", *arguments)["rows"]
    assert all(row["top2"] is None and row["benefit_to_cost"] == 0 for row in rows)
