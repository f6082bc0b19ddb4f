"""Fig. 4: what the experiment of estimators writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from testbed.gpu.estimation.evaluation import ESTIMATORS
from tests.experiments.scripts import ended


def test_experiment_writes_what_it_prints(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ("--clients", "1,4", "--runs", "3", "--seconds", "1.5", "--seed", "2")
    result = ended("fig4_estimators", *options, "--json", "--out", str(out))
    assert result.returncode == 0, result.stderr
    content = json.loads(result.stdout)
    assert {row["estimator"] for row in content["rows"]} == set(ESTIMATORS)
    assert {row["clients"] for row in content["rows"]} == {1, 4, None}
    assert {row["held_out"] for row in content["rows"]} == {"runs", "layers"}
    assert len(pd.read_csv(out / "mae.csv")) == len(content["rows"])
    assert pd.read_parquet(out / "dataset.parquet")["clients"].isin([1, 4]).all()
    assert {path.name for path in (out / "figures").iterdir()} == {
        "fig4_estimators.png",
        "fig4_estimators.svg",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ("--clients", "1,x"),
        ("--clients", "0"),
        ("--runs", "2"),
        ("--seconds", "0"),
        ("--seed", "-1"),
        ("--server", "gpu"),
    ],
)
def test_experiment_refuses_wrong_settings(arguments: tuple[str, str], tmp_path: Path) -> None:
    result = ended("fig4_estimators", *arguments, "--out", str(tmp_path / "run"))
    assert result.returncode == 2
    assert arguments[0] in result.stderr
    assert not (tmp_path / "run").exists()
