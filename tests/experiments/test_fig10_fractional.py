"""Fig. 10, run as a user does on few people."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.scripts import FEW, printed


def test_fig_10_saves_more_and_loses_more_the_less_is_migrated(tmp_path: Path) -> None:
    arguments = (*FEW, "--models", "resnet", "--fractions", "10,60")
    content = printed("fig10_fractional", tmp_path / "out", *arguments)
    rows, at_peak_time = content["rows"], content["at_peak_time"]
    assert [row["fraction_mb"] for row in rows] == [None, 10, 60]
    whole, little, much = rows
    assert little["crowded_uplink_mbps"] < much["crowded_uplink_mbps"]
    assert much["crowded_uplink_mbps"] < whole["crowded_uplink_mbps"]
    assert little["queries"] < much["queries"] < whole["queries"]
    assert little["queries_lost"] == pytest.approx(1 - little["queries"] / whole["queries"])
    assert little["peak_saved"] == pytest.approx(
        1 - little["peak_uplink_mbps"] / whole["peak_uplink_mbps"]
    )
    assert [row["fraction_mb"] for row in at_peak_time] == [None, 10, 60]
    assert {row["crowded_by"] for row in rows}.isdisjoint(row["crowded_by"] for row in at_peak_time)
    assert at_peak_time[0]["queries"] == whole["queries"]  # the same run, before any is limited
    assert {"model", "peak_uplink_mbps"} <= whole.keys()
    assert (tmp_path / "out" / "figures" / "fig10.png").stat().st_size > 10_000
