"""Fig. 7: simulated against the paper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.experiments.scripts import ended
from tests.experiments.single_client import MODELS, chosen, rows_of


def test_fig7_lowers_the_peak_as_the_paper_says(tmp_path: Path) -> None:
    rows = rows_of("fig7_single_client", tmp_path / "out")
    assert (tmp_path / "out" / "figures" / "fig7_single_client.svg").is_file()
    assert (tmp_path / "out" / "figures" / "fig7_single_client.png").stat().st_size > 10_000
    papers = {"up_bps": 35 * 2**20, "uplink": "separate"}
    nothing, part, everything = (
        chosen(rows, migrated=amount, **papers) for amount in ("nothing", "part", "all")
    )
    assert part["inception"]["peak_speedup"] == pytest.approx(2.8, rel=0.02)
    assert part["inception"]["migrated_share"] == pytest.approx(0.09, abs=0.005)
    for model in MODELS:
        assert nothing[model]["peak_s"] == pytest.approx(nothing[model]["local_query_s"])
        assert part[model]["peak_s"] < nothing[model]["peak_s"]
        assert everything[model]["peak_s"] == pytest.approx(everything[model]["hit_query_s"])
        left = 1 - part[model]["migrated_share"]
        assert part[model]["uploading_s"] == pytest.approx(left * nothing[model]["uploading_s"])
    change_s = {model: row["handover_s"] for model, row in nothing.items()}
    # "~30 sec in Inception, ~23 sec in ResNet, and ~6 sec in MobileNet", of which 3.7 are upload
    assert change_s == pytest.approx({"mobilenet": 4.1, "inception": 30, "resnet": 22.5}, rel=0.03)


def test_another_part_can_be_migrated(tmp_path: Path) -> None:
    rows = rows_of("fig7_single_client", tmp_path, "--model", "resnet", "--fraction", "56")
    (part,) = [
        r for r in rows if (r["migrated"], r["up_bps"], r["uplink"]) == ("part", 35e6, "separate")
    ]
    assert 50e6 < part["migrated_bytes"] <= 56e6


def test_people_see_both_uplinks_and_the_papers_figures(tmp_path: Path) -> None:
    process = ended("fig7_single_client", "--model", "inception", "--out", str(tmp_path))
    assert process.returncode == 0, process.stderr
    assert f"files: {tmp_path}" in process.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    lower = {r["uplink"]: r["peak_speedup"] for r in rows[:6] if r["migrated"] == "part"}
    (line,) = [
        line.split() for line in process.stdout.splitlines() if f"{lower['separate']:.2f}" in line
    ]
    assert line[:4] == ["inception", "part", "12.3", "9.1"]
    assert f"{lower['shared']:.2f}" in line
    assert "2.8 (12 MB)" in process.stdout
    assert "~30" in process.stdout
