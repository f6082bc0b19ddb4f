"""Table III, Fig. 6, Fig. 8 and the curve of offers, run as a user does on made-up people."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.experiments.scripts import EXPERIMENTS, ended, printed

PEOPLE, SAMPLES, STEP_S = 9, 900, 5.0


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People who walk between four places and pause there, sampled every 5 s."""
    folder = tmp_path_factory.mktemp("walks")
    places_m = np.array([(0, 0), (200, 30), (120, 260), (320, 200)])
    for person in range(PEOPLE):
        rng = np.random.default_rng(person)
        positions_m = [places_m[0].astype(float)]
        while len(positions_m) < SAMPLES:
            here_m, there_m = positions_m[-1], places_m[rng.integers(4)]
            steps = int(np.hypot(*(there_m - here_m)) / (1.2 * STEP_S))
            positions_m += [here_m + (there_m - here_m) * k / steps for k in range(1, steps)]
            positions_m += [there_m.astype(float)] * int(rng.integers(2, 40))
        noisy_m = np.array(positions_m[:SAMPLES]) + rng.normal(scale=2, size=(SAMPLES, 2))
        lines = [f"{i * STEP_S:g} {x:.2f} {y:.2f}\n" for i, (x, y) in enumerate(noisy_m)]
        (folder / f"p{person}.txt").write_text("".join(lines))
    return folder


def test_table_3_has_a_row_for_each_predictor(walks: Path, tmp_path: Path) -> None:
    arguments = ("--traces", str(walks), "--splits", "2", "--predictors", "stay,svr,markov")
    rows = printed("table3_predictors", tmp_path / "out", *arguments)["rows"]
    by_name = {row["predictor"]: row for row in rows}
    assert list(by_name) == ["stay", "svr", "markov"]
    assert by_name["stay"]["top1"] == 0  # whoever is predicted to stay does not change server
    assert by_name["svr"]["top1"] > 0
    assert by_name["svr"]["mae_m"] < by_name["stay"]["mae_m"] < by_name["markov"]["mae_m"]
    for row in rows:
        assert row["dataset"] == walks.name
        assert 0 <= row["top1"] <= row["top2"] <= 1
    splits = pd.read_csv(tmp_path / "out" / "splits.csv")
    svr = splits[splits["predictor"] == "svr"]
    assert by_name["svr"]["mae_m"] == pytest.approx(svr["mae_m"].mean())
    assert (tmp_path / "out" / "figures" / "errors.png").stat().st_size > 10_000


def test_table_3_for_people_puts_the_papers_figures_beside(walks: Path, tmp_path: Path) -> None:
    kaist = walks.rename(walks.with_name("kaist"))
    try:
        arguments = ("--traces", str(kaist), "--splits", "1", "--predictors", "svr,ridge")
        shown = ended("table3_predictors", *arguments, "--out", str(tmp_path / "out")).stdout
    finally:
        kaist.rename(walks)
    lines = {line.split()[0]: line for line in shown.splitlines() if line}
    assert "8.1" in lines["svr"] and "54.1" in lines["svr"] and "12.9" in lines["svr"]
    assert "Table III on kaist" in shown


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


def test_fig_8_draws_every_cell(walks: Path, tmp_path: Path) -> None:
    (row,) = printed("fig8_trajectories", tmp_path / "out", "--traces", str(walks))["rows"]
    assert row["people"] == PEOPLE
    assert row["cells"] >= 4
    assert (tmp_path / "out" / "figures" / "fig8.svg").stat().st_size > 10_000


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--splits", "0"), "--splits 0"),
        (("--test-people", "-1"), "traces.test_people"),
        (("--interval", "0"), "traces.interval_s"),
        (("--traces", "/nowhere/at/all"), "/nowhere/at/all"),
        (("--predictors", "svm"), "unknown predictor 'svm'"),
    ],
)
def test_wrong_input_is_named(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    process = ended("table3_predictors", *arguments, "--out", str(tmp_path / "out"))
    assert process.returncode == 2
    assert message in process.stderr.replace("\n", " ")
    assert not (tmp_path / "out").exists()


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


def test_what_was_measured_before_an_interrupt_is_kept(walks: Path, tmp_path: Path) -> None:
    script, out = EXPERIMENTS / "table3_predictors.py", tmp_path / "out"
    arguments = ["--traces", str(walks), "--splits", "100", "--predictors", "stay,svr"]
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments, "--out", str(out)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("split 3"):
                break
        process.send_signal(signal.SIGINT)
        process.stderr.read()
    assert process.returncode == 130
    rows = json.loads((out / "rows.json").read_text())["rows"]
    assert rows[0]["predictor"] == "stay"
    assert 2 <= rows[0]["splits"] < 100
    assert (out / "figures" / "errors.png").exists()
