"""Small sweeps: two clients on the synthetic campus, and policies that fail, die or wait."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import cli

#: A run takes a quarter of a second, its predictor's training included.
SMALL = {
    "name": "small",
    "engine": "simulate",
    "traces": {"format": "synthetic", "test_people": 80},
    "replay": {"clients": 2, "duration_s": 150},
    "model": {"name": "mobilenet"},
}

#: What stands in for `testbed run CONFIG --out OUT`: the documents of a complete run.
COMPLETE = """
import json, pathlib, sys
config, out = map(pathlib.Path, sys.argv[1:3])
out.mkdir()
(out / "config.json").write_bytes(config.read_bytes())
(out / "manifest.json").write_text(json.dumps({"status": "complete"}))
(out / "summary.json").write_text(json.dumps({"queries": 1, "fidelity": "good"}))
"""

POLICIES = """
import os, time
from pathlib import Path
from testbed.decision.policies import PerDnn

def wait_for(condition):
    until_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until_s, "nobody came"
        time.sleep(0.01)

class Failing(PerDnn):
    '''Cannot do with 100 m.'''
    def offers(self, situation):
        if self.settings.radius_m == 100:
            print("noise")
            raise RuntimeError("no luck at 100 m")
        return super().offers(situation)

class Deadly(PerDnn):
    '''Ends its process at 100 m.'''
    def offers(self, situation):
        if self.settings.radius_m == 100:
            os._exit(9)
        return super().offers(situation)

class Waiting(PerDnn):
    '''Waits at 100 m until a file `go` is there; says by a file `waits` that it does.'''
    def offers(self, situation):
        if self.settings.radius_m == 100:
            Path("waits").write_text(str(os.getpid()))
            wait_for(Path("go").exists)
        return super().offers(situation)

class Meeting(PerDnn):
    '''Waits until another process is at a run too.'''
    def offers(self, situation):
        Path(f"met-{os.getpid()}").touch()
        wait_for(lambda: len(list(Path().glob("met-*"))) > 1)
        return super().offers(situation)
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to call commands in, with the experiment `small.json` and the module `fickle`."""
    (tmp_path / "small.json").write_text(json.dumps(SMALL))
    (tmp_path / "fickle.py").write_text(POLICIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # where it is called is added
    monkeypatch.delitem(sys.modules, "fickle", raising=False)
    return tmp_path


class Ended:
    """How a command ended, and what it said."""

    def __init__(self, status: object, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


Sweep = Callable[..., Ended]


@pytest.fixture
def sweep(place: Path, capfd: pytest.CaptureFixture[str]) -> Sweep:
    """Sweep in this process, into the folder `out`."""

    def call(*arguments: str, out: str = "out") -> Ended:
        with pytest.raises(SystemExit) as ended:
            cli.main(["sweep", "small.json", "--out", out, *arguments])
        said = capfd.readouterr()
        return Ended(ended.value.code, said.out, said.err)

    return call


def start(*arguments: str) -> subprocess.Popen[str]:
    """Sweep in a process of its own, into the folder `out`."""
    return subprocess.Popen(
        [sys.executable, "-m", "testbed.cli", "sweep", "small.json", "--out", "out", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], object], timeout_s: float = 60) -> None:
    """Return once a condition holds; AssertionError if it does not in time."""
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, "waited in vain"
        time.sleep(0.01)


def runs_in(folder: Path) -> dict[str, int]:
    """Return the runs in a sweep's folder, each with its folder's inode."""
    return {path.name: path.stat().st_ino for path in folder.iterdir() if "#" in path.name}


def alive(pid: int) -> bool:
    """Return whether a process is there, and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
