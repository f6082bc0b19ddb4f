"""One run: emulated ones take turns on a machine, failing ones say why."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import TestbedError
from testbed.runs import series
from testbed.settings.experiment import Experiment, from_dict
from testbed.sweep import execution
from testbed.sweep.execution import Keep, Task, carry_out, outcome
from testbed.sweep.ledger import PARTIAL
from testbed.sweep.results import State
from tests.sweep.studies import COMPLETE, SMALL

EMULATED = Experiment(name="walk")


@pytest.fixture(autouse=True)
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(execution, "MACHINE_LOCK", tmp_path / "lock")
    return tmp_path / "lock"


def task(folder: Path, settings: Experiment = EMULATED, keep: Keep = "tables") -> Task:
    (folder / PARTIAL).mkdir(parents=True, exist_ok=True)
    return Task("radius=50,#0,seed=1", settings, folder, folder, keep)


def do_instead(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have each emulation be a Python process that executes this code."""
    monkeypatch.setattr(
        series, "command", lambda config, out: [sys.executable, "-c", code, str(config), str(out)]
    )


def test_an_emulation_comes_to_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    do_instead(monkeypatch, COMPLETE)
    assert carry_out(task(tmp_path / "out")).figures == {"queries": 1, "fidelity": "good"}
    assert (tmp_path / "out" / "radius=50,#0,seed=1" / "summary.json").is_file()
    assert list((tmp_path / "out" / PARTIAL).iterdir()) == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; sys.exit('error: no such trace')", "exit status 1: error: no such trace"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exit status -9: "),
        (
            COMPLETE.replace('"complete"', '"failed", "reason": "the controller is silent"')
            + "print('files: here')\nsys.exit(1)",
            "the controller is silent",
        ),
        (COMPLETE + "print('cannot draw')\nsys.exit(1)", "exit status 1: cannot draw"),
    ],
)
def test_an_emulation_that_fails_leaves_its_reason_and_what_it_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, reason: str
) -> None:
    do_instead(monkeypatch, code)
    assert carry_out(task(tmp_path / "out", keep="summary")) == State("failed", reason)
    left = tmp_path / "out" / "radius=50,#0,seed=1"
    assert json.loads((left / "manifest.json").read_text())["reason"] == reason
    if "SIGKILL" not in code:
        assert (left / "log.txt").read_text().strip()


def test_ctrl_c_reaches_the_emulation_which_ends_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The run asks for it, and answers with the file it writes then."""
    heard = tmp_path / "heard"
    do_instead(
        monkeypatch,
        "import os, pathlib, signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        "os.kill(os.getppid(), signal.SIGINT)\n"
        "signal.sigwait([signal.SIGINT])\n"
        f"pathlib.Path({str(heard)!r}).touch()\n",
    )
    with pytest.raises(KeyboardInterrupt):
        carry_out(task(tmp_path / "out"))
    assert heard.exists()
    assert os.listdir(tmp_path / "out") == [PARTIAL]  # noqa: PTH208
    assert list((tmp_path / "out" / PARTIAL).iterdir()) == []


SWEEPER = """
import sys
from pathlib import Path
from testbed.runs import series
from testbed.settings.experiment import Experiment
from testbed.sweep import execution
from testbed.sweep.execution import Task, carry_out
lock, journal, folder, code = sys.argv[1:]
execution.MACHINE_LOCK = Path(lock)
start = [sys.executable, "-c", code]
series.command = lambda config, out: [*start, str(config), str(out), journal]
(Path(folder) / ".partial").mkdir(parents=True)
state = carry_out(Task("run", Experiment(name="walk"), Path(folder), Path.cwd()))
sys.exit(state.status != "complete")
"""

#: Says when it begins and ends, and lasts until another has begun, or for half a second.
JOURNALLED = f"""{COMPLETE}
import time
journal = pathlib.Path(sys.argv[3])
def say(word):
    with journal.open("a") as file:
        file.write(word + "\\n")
say("begins")
until_s = time.monotonic() + 0.5
while time.monotonic() < until_s and journal.read_text().split()[-2:] != ["begins", "begins"]:
    time.sleep(0.01)
say("ends")
"""


def test_two_sweeps_on_a_machine_emulate_one_after_the_other(tmp_path: Path, lock: Path) -> None:
    journal = tmp_path / "journal"
    sweepers = [
        subprocess.Popen(
            [sys.executable, "-c", SWEEPER, lock, journal, tmp_path / name, JOURNALLED]
        )
        for name in ("a", "b", "c")
    ]
    assert [sweeper.wait(60) for sweeper in sweepers] == [0, 0, 0]
    assert journal.read_text().split() == ["begins", "ends"] * 3


def test_an_emulation_dies_with_who_started_it(tmp_path: Path, lock: Path) -> None:
    """As a worker's does that is killed: nothing is left that would use the machine."""
    here, there = os.pipe()
    emulation = f"import os, time\nos.write({there}, b'{{}}'); time.sleep(60)"
    sweeper = subprocess.Popen(
        [sys.executable, "-c", SWEEPER.replace("import sys", "import subprocess, sys").replace(
            "(Path(folder)",
            f"popen = subprocess.Popen\nseries.subprocess.Popen = lambda *a, **k:"
            f" popen(*a, **k, pass_fds=[{there}])\n(Path(folder)",
        ), lock, tmp_path / "journal", tmp_path / "a", emulation],
        pass_fds=[there],
    )  # fmt: skip
    os.close(there)
    with os.fdopen(here, "rb") as said:
        assert said.read(2) == b"{}"
        sweeper.send_signal(signal.SIGKILL)
        sweeper.wait(10)
        assert said.read() == b""  # its last writer has ended


def test_a_simulated_run_keeps_what_it_is_asked_to(place: Path) -> None:
    settings = from_dict(SMALL)
    assert carry_out(task(place / "all", settings)).status == "complete"
    kept = {path.name for path in (place / "all" / "radius=50,#0,seed=1").iterdir()}
    assert {"queries.parquet", "schedule.json", "summary.json", "config.json"} <= kept
    assert not {"figures", "report.html"} & kept
    state = carry_out(task(place / "few", settings, keep="summary"))
    few = place / "few" / "radius=50,#0,seed=1"
    assert {path.name for path in few.iterdir()} == {
        *("config.json", "manifest.json", "summary.json", "fidelity.json")
    }
    assert json.loads((few / "summary.json").read_text()) == state.figures


def test_what_cannot_even_be_noted_is_a_failure_with_a_reason() -> None:
    def known() -> State:
        raise TestbedError("as foreseen")

    def unknown() -> State:
        raise OSError(28, "No space left on device")

    assert outcome(known) == State("failed", "as foreseen")
    assert outcome(unknown) == State("failed", "OSError: [Errno 28] No space left on device")
