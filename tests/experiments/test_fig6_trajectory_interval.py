"""Fig. 6, run as a user does on made-up people."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.scripts import ended, printed


def test_fig_6_finds_longer_intervals_less_futile_and_less_certain(
    walks: Path, tmp_path: Path
) -> None:
    arguments = ("--traces", str(walks), "--splits", "1")
    content = printed("fig6_trajectory_interval", tmp_path / "out", *arguments)
    rows = {row["interval_s"]: row for row in content["rows"]}
    assert list(rows) == [15 + 5 * k for k in range(10)]
    assert rows[15]["mae_m"] < rows[60]["mae_m"]
    assert rows[15]["futile_share"] > rows[60]["futile_share"]
    for row in rows.values():
        expected = row["accuracy"] * (1 - row["futile_share"])
        assert row["benefit_to_cost"] == pytest.approx(expected)
    assert {(each["interval_s"], each["n"]) for each in content["by_length"]} == {
        (t, n) for t in (15, 20, 25, 30) for n in range(1, 11)
    }


def test_fig_6_refuses_traces_that_are_sampled_too_seldom(tmp_path: Path) -> None:
    for person in ("a", "b"):
        lines = [f"{30 * i} {i} {len(person)}\n" for i in range(20)]
        (tmp_path / f"{person}.txt").write_text("".join(lines))
    process = ended("fig6_trajectory_interval", "--traces", str(tmp_path))
    assert process.returncode == 2
    assert "a sample every 30 s" in process.stderr.replace("\n", " ")
