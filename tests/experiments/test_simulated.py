"""Fig. 9, Fig. 10 and a simulated experiment, run as a user does."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from testbed.analysis.figures import CAPTIONS
from testbed.config import Experiment, Traces
from testbed.movement import load_people
from tests.experiments.scripts import ended, printed

FEW = ("--trace-format", "synthetic", "--test-people", "3", "--splits", "1")


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


def test_fig_10_saves_more_and_loses_more_the_less_is_migrated(tmp_path: Path) -> None:
    arguments = (*FEW, "--models", "resnet", "--fractions", "10,60")
    rows = printed("fig10_fractional", tmp_path / "out", *arguments)["rows"]
    assert [row["fraction_mb"] for row in rows] == [None, 10, 60]
    whole, little, much = rows
    assert little["crowded_uplink_mbps"] < much["crowded_uplink_mbps"]
    assert much["crowded_uplink_mbps"] < whole["crowded_uplink_mbps"]
    assert little["queries"] < much["queries"] < whole["queries"]
    assert little["queries_lost"] == pytest.approx(1 - little["queries"] / whole["queries"])
    assert {"model", "peak_uplink_mbps"} <= whole.keys()
    assert (tmp_path / "out" / "figures" / "fig10.png").stat().st_size > 10_000


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


def hours_of(people: int, folder: Path) -> Path:
    """Write the first hours of some of the synthetic campus's people in CRAWDAD's format."""
    folder.mkdir()
    settings = Experiment(name="test", traces=Traces(format="synthetic"))
    for number, trace in enumerate(load_people(settings).traces.traces[:people]):
        lines = [f"{30 * step} {x_m} {y_m}" for step, (x_m, y_m) in enumerate(trace.positions_m)]
        (folder / f"{number}.txt").write_text("\n".join(lines[:400]) + "\n")
    return folder


@pytest.mark.slow
def test_the_frontier_has_every_policy_and_judges_the_goals(tmp_path: Path) -> None:
    traces = ("--traces", str(hours_of(12, tmp_path / "traces")), "--splits", "1")
    found = printed("benefit_per_byte", tmp_path / "out", *traces, "--models", "mobilenet")
    rows = {(row["choice"], row["parameter"]): row for row in found["rows"]}
    assert {choice for choice, parameter in rows if parameter is None} == {
        *("IONN", "pull", "routing", "cloud", "optimal"),
    }
    reference, best = rows["circles", 100.0], rows["optimal", None]
    assert (reference["queries_share"], reference["bytes_share"]) == (1, 1)
    most = 1.002 * best["queries_after"]  # when a query comes, before a step or after it, is chance
    assert all(row["queries_after"] <= most for row in rows.values())
    assert rows["IONN", None]["hit_ratio"] == 0 == rows["IONN", None]["backhaul_gb"]
    benefit = [row for (choice, _), row in rows.items() if choice == "benefit"]
    sent = [row["bytes_share"] for row in benefit]
    assert len(sent) == 10 and sent == sorted(sent, reverse=True)
    assert rows["oracle", 0.0]["hit_ratio"] > max(row["hit_ratio"] for row in benefit)
    assert [(goal["goal"], goal["chosen"] >= goal["met"]) for goal in found["goals"]] == [
        ("98% for 33%", True),
        ("99% for 50%", True),
    ]
    assert (tmp_path / "out" / "figures" / "frontier.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("kaist_inception", "--engine", "simulate", "--controller", __file__),
            "knows the paths of shortest_path alone",
        ),
        (("fig10_fractional", "--radius", "-5"), "metres above 0"),
        (("fig9_hit_ratio", "--models", "vgg"), "vgg is none of the paper's"),
        (("paper_differences", "--models", "vgg"), "vgg is none of the paper's"),
        (("fig10_fractional", "--fractions", "10,much"), "megabytes above 0"),
        (("fig10_fractional", "--fractions", "0"), "megabytes above 0"),
        (("kaist_inception", "--engine", "simulate", "--duration", "-5"), "replay.duration_s"),
        (
            ("kaist_inception", "--engine", "simulate", "--set", "wireless.association=least_time"),
            "only an emulation can",
        ),
    ],
)
def test_wrong_arguments_end_with_2_and_one_line(arguments: tuple[str, ...], said: str) -> None:
    process = ended(*arguments)
    assert process.returncode == 2
    assert said in process.stderr
    assert "Traceback" not in process.stderr


SIMULATED = ("kaist_inception", "--engine", "simulate", "--trace-format", "synthetic")


def test_a_simulated_run_needs_no_root_and_leaves_a_whole_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ("--clients", "3", "--duration", "300", "--policy", "visits")
    process = ended(*SIMULATED, *arguments, "--out", str(out))
    assert process.returncode == 0, process.stderr
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["status"], manifest["engine"]) == ("complete", "simulate")
    summary = json.loads((out / "summary.json").read_text())
    queries = pd.read_parquet(out / "queries.parquet")
    assert summary["queries"] == len(queries) > 500
    assert summary["handovers"] >= 3
    assert summary["fidelity"] == "good"
    assert (out / "report.html").is_file()
    assert len(list((out / "figures").glob("*.png"))) == len(CAPTIONS)


def test_whole_traces_are_simulated_from_end_to_end(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ("--duration", "all", "--set", "traces.test_people=2", "--model", "mobilenet")
    process = ended(*SIMULATED, *arguments, "--out", str(out))
    assert process.returncode == 0, process.stderr
    schedule = json.loads((out / "schedule.json").read_text())
    assert len(schedule["clients"]) >= 2
    assert schedule["duration_s"] > 4 * 3600
    assert json.loads((out / "manifest.json").read_text())["simulated_s"] == schedule["duration_s"]
