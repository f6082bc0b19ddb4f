"""Emulated runs, started as a user starts them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from testbed.repository import REPOSITORY
from testbed.runs.folder import RunFolder

#: Many handovers, half of them misses; not simulated afterwards, which takes seconds.
BUSIEST = ("--start", "busiest", "--radius", "50", "--tdf", "1")
BUSIEST += ("--set", "simulation.beside=false")


def start(folder: Path, *options: str, launch: Sequence[str] = ()) -> subprocess.Popen[str]:
    """Start experiments/kaist_inception.py; what is typed and printed goes through pipes."""
    command = [sys.executable, "experiments/kaist_inception.py", *BUSIEST, *options]
    command += ["--out", str(folder)]
    return subprocess.Popen(
        [*launch, *command],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def emulate(
    folder: Path, *options: str, timeout_s: float, said: str = "", launch: Sequence[str] = ()
) -> tuple[RunFolder, str]:
    """Run experiments/kaist_inception.py to its end; return its folder and what it printed.

    `said` is what the user types.
    """
    launcher = start(folder, *options, launch=launch)
    try:
        printed, _ = launcher.communicate(said, timeout=timeout_s)
    finally:
        launcher.kill()
    assert launcher.returncode == 0, printed
    return RunFolder(folder), printed


def emulate_in_time(
    folder: Path, *options: str, timeout_s: float, attempts: int = 3
) -> tuple[RunFolder, str]:
    """As `emulate`, again where something else on the machine made a run late.

    What says that its timing was good is returned; what never does fails the test.
    """
    found = {}
    for attempt in range(attempts):
        run, printed = emulate(folder / str(attempt), *options, timeout_s=timeout_s)
        fidelity = run.read_json("fidelity")
        if fidelity["verdict"] == "good":
            return run, printed
        found[attempt] = fidelity["reasons"]
    raise AssertionError(f"late in each of {attempts} runs: {found}")


def wait_for(condition: Callable[[], Any], what: str, deadline_s: float) -> Any:
    """Return the first value of a condition that holds."""
    end_s = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < end_s, f"waited {deadline_s:g} s in vain for {what}"
        time.sleep(0.02)
    return value
