"""Runs one after the other: how a series ends."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from testbed.runs import series
from testbed.runs.series import Series
from testbed.settings.experiment import Experiment, Replay

RUNS = {"first": Experiment(name="first"), "second": Experiment(name="second")}


def do_instead(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have each run be a Python process that executes this code."""
    monkeypatch.setattr(series, "command", lambda config, out: [sys.executable, "-c", code])


def test_all_runs_are_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    do_instead(monkeypatch, "pass")
    assert Series(tmp_path).run(RUNS) == 0
    configs = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert {name: config["name"] for name, config in configs.items()} == {
        "first": "first",
        "second": "second",
    }


def test_the_first_failure_ends_it_with_its_status(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Through the real command: whole traces can only be simulated."""
    runs = {name: Experiment(name=name, replay=Replay(duration_s="all")) for name in RUNS}
    assert Series(tmp_path).run(runs) == 2
    assert "an emulation needs a window" in capfd.readouterr().err
    assert not (tmp_path / "second.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_run_and_ends_the_series(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    """The run that is under way asks for it, and answers with the file it writes then."""
    heard = tmp_path / "heard"
    do_instead(
        monkeypatch,
        "import os, pathlib, signal\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, [{int(number)}])\n"
        f"os.kill(os.getppid(), {int(number)})\n"
        f"signal.sigwait([{int(number)}])\n"
        f"pathlib.Path({str(heard)!r}).touch()\n",
    )
    before = signal.getsignal(number)
    assert Series(tmp_path).run(RUNS) == 128 + number
    assert heard.exists()
    assert not (tmp_path / "second.json").exists()
    assert signal.getsignal(number) is before
