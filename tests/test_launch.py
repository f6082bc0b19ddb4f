"""An experiment from the command line: what comes first, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import launch
from testbed.emulation.fitness import examination
from testbed.emulation.fitness.examination import Finding
from testbed.repository import REPOSITORY
from testbed.simulation.log import Log
from testbed.simulation.simulated_run import SimulatedRun
from tests.command_line import EXPERIMENT, StartedError, run, status_and_error


def test_a_folder_that_is_not_empty_is_refused_before_the_machine_is_looked_at(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "examine", lambda: [Finding("root", "missing", "not root")])
    (tmp_path / "results.txt").write_text("mine")
    status, error = status_and_error(capsys, "--out", str(tmp_path))
    assert status == 2
    assert "is not empty" in error


def test_an_unfit_machine_ends_with_3_and_creates_nothing(
    capsys: pytest.CaptureFixture[str],
    traces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    findings = [Finding("root", "missing", "not root [why]", "prefix the command with sudo")]
    monkeypatch.setattr(examination, "examine", lambda: findings)
    out = tmp_path / "run"
    status, error = status_and_error(capsys, "--traces", str(traces), "--out", str(out))
    assert status == 3
    assert "not root [why]" in error
    assert not out.exists()


def test_ctrl_c_while_checking_ends_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(launch, "check", interrupt)
    assert status_and_error(capsys) == (130, "interrupted\n")


def test_an_interrupted_simulation_says_how_far_it_came(
    capsys: pytest.CaptureFixture[str],
    traces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = SimulatedRun.run

    def interrupted(simulated: SimulatedRun, goes_on: Callable[[float], bool]) -> list[Log]:
        signal.raise_signal(signal.SIGINT)
        return whole(simulated, goes_on)

    monkeypatch.setattr(SimulatedRun, "run", interrupted)
    arguments = ("--engine", "simulate", "--traces", str(traces), "--clients", "2")
    out = ("--duration", "5min", "--out", str(tmp_path / "run"))
    status, error = status_and_error(capsys, *arguments, *out)
    assert status == 130
    assert "interrupted at 30 of 300 s; keeping what was done until then" in error


def test_a_run_starts_with_its_settings_and_movement_in_its_folder(
    traces: Path, tmp_path: Path, fit: None
) -> None:
    out = tmp_path / "run"
    with pytest.raises(StartedError) as started:
        launch.main(
            EXPERIMENT,
            ["--traces", str(traces), "--clients", "2", "--duration", "5min", "--out", str(out)],
        )
    assert started.value.args == ("testbed.emulation", [str(out)])
    assert sorted(path.name for path in out.iterdir()) == [
        *("config.json", "schedule.json", "training.npz", "warm_start.json")
    ]


@pytest.mark.parametrize(
    "arguments", [["--radius", "-1"], ["--traces", "nowhere"], ["--set", "a.b=c"], ["--bad"]]
)
def test_an_experiments_file_ends_with_2_on_bad_usage(arguments: list[str]) -> None:
    ended = run(*arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1


def test_configuration_comes_before_the_machine_for_whoever_is_not_root() -> None:
    user = 65534 if os.geteuid() == 0 else None
    if user is not None and not _reachable_by_anyone(REPOSITORY):
        pytest.skip(f"{REPOSITORY} cannot be read by another user")
    assert run("--radius", "-1", user=user).returncode == 2
    ended = run("--clients", "1", "--duration", "60", user=user)
    assert ended.returncode == 3
    assert "not root" in " ".join(ended.stderr.split())


def _reachable_by_anyone(folder: Path) -> bool:
    command = [sys.executable, "-c", f"import msgspec; open({str(folder / 'pyproject.toml')!r})"]
    return subprocess.run(command, user=65534, check=False, capture_output=True).returncode == 0
