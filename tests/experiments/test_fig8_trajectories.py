"""Fig. 8, run as a user does on made-up people."""

from __future__ import annotations

from pathlib import Path

from tests.experiments.scripts import printed


def test_fig_8_draws_every_cell(walks: Path, tmp_path: Path) -> None:
    (row,) = printed("fig8_trajectories", tmp_path / "out", "--traces", str(walks))["rows"]
    assert row["people"] == len(list(walks.iterdir()))
    assert row["cells"] >= 4
    assert (tmp_path / "out" / "figures" / "fig8.svg").stat().st_size > 10_000
