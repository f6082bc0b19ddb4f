"""`testbed traces describe` says what traces hold."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.traces.samples import geolife


def test_traces_are_described(testbed: Any, traces: Path) -> None:
    content = testbed("traces", "describe", str(traces), "--json").json
    assert content["recorded"]["people"] == 10
    assert content["recorded"]["points"] == 600
    assert content["recorded"]["width_m"] == 59 * 20
    assert content["recorded"]["mean_speed_m_s"] == pytest.approx(20 / 30)
    assert content["cells"] == pytest.approx(2 * 1180 / 86.6, rel=0.3)  # one or two rows of cells
    # A cell is 87 m wide, a step 20 m
    assert content["cell_change_share"] == pytest.approx(20 / 86.6, abs=0.05)
    assert "600" in testbed("traces", "describe", str(traces)).out


def test_the_described_window_may_be_chosen(testbed: Any, traces: Path) -> None:
    content = testbed(
        *("traces", "describe", str(traces), "--window", "[-900,0,-700,45]", "--json")
    ).json
    assert content["window"]["people"] == 5
    assert content["window"]["points"] == 5 * 11


def test_what_was_left_out_of_traces_is_described(testbed: Any, traces: Path) -> None:
    shutil.copy(traces / "walker_1.txt", traces / "walker_99.txt")
    (traces / "walker_0.txt").write_text("0 0 0\nzero\n30 20 0\n30 20 0\n")
    ended = testbed("traces", "describe", str(traces))
    assert (ended.status, ended.out) == (2, "")
    assert "walker_0.txt:2: " in ended.err
    content = testbed("traces", "describe", str(traces), "--skip-bad", "--json").json
    assert content["format"] == "crawdad"
    assert {name: content[name] for name in ("files", "duplicates", "bad_lines", "backwards")} == {
        "files": 11,
        "duplicates": 1,
        "bad_lines": 1,
        "backwards": 1,
    }
    assert "malformed lines skipped" in testbed("traces", "describe", str(traces), "--skip-bad").out
    kept = testbed(
        *("traces", "describe", str(traces), "--skip-bad", "--duplicates", "keep", "--json")
    ).json
    assert kept["recorded"]["people"] == 11


def test_geographic_traces_are_described_in_metres(testbed: Any, tmp_path: Path) -> None:
    geolife(tmp_path)
    window = ("--window-deg", "[36,127,37,128]")
    content = testbed("traces", "describe", str(tmp_path), *window, "--json").json
    assert (content["source"], content["format"]) == (tmp_path.name, "geolife")
    for part, points in (("recorded", 10), ("window", 14)):  # samples of 30 s in steps of 20 s
        figures = content[part]
        assert (figures["people"], figures["points"]) == (2, points)
        assert figures["width_m"] == pytest.approx(120, rel=0.01)
        assert figures["height_m"] == pytest.approx(11.1, abs=0.3)
        assert figures["mean_speed_m_s"] == pytest.approx(1, rel=0.01)
    assert content["interpolated"] == 8  # of each walker's steps, those at 20, 40, 80 and 100 s


def test_trace_format_may_be_forced(testbed: Any, traces: Path) -> None:
    ended = testbed("traces", "describe", str(traces), "--trace-format", "gpx")
    assert (ended.status, ended.out) == (2, "")
    ended = testbed("traces", "describe", str(traces), "--trace-format", "shapefile")
    assert ended.status == 2
    assert "traces.format" in ended.err
