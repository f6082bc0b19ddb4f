"""Table III, run as a user does on made-up people."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.experiments.scripts import EXPERIMENTS, ended, printed


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
