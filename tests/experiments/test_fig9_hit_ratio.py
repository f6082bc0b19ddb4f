"""Fig. 9, run as a user does on few people."""

from __future__ import annotations

from pathlib import Path

from tests.experiments.scripts import FEW, printed


def test_fig_9_has_a_row_for_each_model_and_policy(tmp_path: Path) -> None:
    rows = printed("fig9_hit_ratio", tmp_path / "out", *FEW, "--models", "mobilenet")["rows"]
    assert [row["policy"] for row in rows] == ["IONN", "r = 50", "r = 100", "optimal"]
    hits = [row["hit_ratio"] for row in rows]
    assert hits == sorted(hits) and (hits[0], hits[-1]) == (0, 1)
    assert [row["queries_after"] for row in rows] == sorted(row["queries_after"] for row in rows)
    assert rows[0]["migrated_gb"] == rows[-1]["migrated_gb"] == 0 < rows[1]["migrated_gb"]
    optimizable = rows[-1]["queries_after"] - rows[0]["queries_after"]
    assert {row["optimizable_queries"] for row in rows} == {optimizable}
    assert (tmp_path / "out" / "figures" / "fig9.png").stat().st_size > 10_000
