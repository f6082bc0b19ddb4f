"""What GPU-aware planning is worth, run as a user does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.experiments.scripts import ended, printed

SMALL = ("--models", "mobilenet", "--clients", "8", "--intervals", "1")


def test_experiment_writes_what_it_prints(tmp_path: Path) -> None:
    arguments = (*SMALL, "--servers", "2", "--slower", "1,100", "--estimators", "truth")
    content = printed("gpu_aware_planning", tmp_path / "run", *arguments)
    rows = content["rows"]
    assert [row["planned_with"] for row in rows] == ["idle", "truth"] * 6
    gains = {(row["visible"], row["slower"], row["planned_with"]): row["gain"] for row in rows}
    assert all(gain == 0 for (_, _, name), gain in gains.items() if name == "idle")
    assert all(abs(gain) < 0.01 for (_, slower, _), gain in gains.items() if slower == 1)
    assert gains["one server", 100, "truth"] > 0.5
    assert [row["model"] for row in content["plans"]] == ["mobilenet"]
    assert (tmp_path / "run" / "figures" / "gpu_aware_planning.png").is_file()


def test_experiment_says_where_load_matters_and_where_not(tmp_path: Path) -> None:
    arguments = (*SMALL, "--servers", "1", "--slower", "1,100", "--estimators", "truth")
    process = ended("gpu_aware_planning", *arguments, "--out", str(tmp_path / "run"))
    assert process.returncode == 0, process.stderr
    assert "in 1 of 2 cases" in process.stdout
    assert "one server, 1x: 1 of 1" in process.stdout
    assert "In the other cases" in process.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--clients", "2.5"), "whole numbers from 1 to 200"),
        (("--servers", "2,3"), "a whole number from 1 to 50"),
        (("--estimators", "forrest"), "did you mean 'forest'"),
        (("--set", "server.estimator=forest"), "does not depend on it"),
    ],
)
def test_experiment_refuses_wrong_arguments(
    arguments: tuple[str, str], said: str, tmp_path: Path
) -> None:
    process = ended("gpu_aware_planning", *arguments, "--out", str(tmp_path / "run"))
    assert process.returncode == 2
    assert said in process.stderr
    assert not (tmp_path / "run").exists()
