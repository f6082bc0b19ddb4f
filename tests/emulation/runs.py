"""Emulated runs, started as a user starts them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from testbed.runfolder import RunFolder
from tests.emulation.sandboxed import REPOSITORY


def emulate(
    folder: Path, *options: str, timeout_s: float, said: str = "", launch: Sequence[str] = ()
) -> tuple[RunFolder, str]:
    """Run experiments/kaist_inception.py to its end; return its folder and what it printed.

    `said` is what the user types.
    """
    command = [sys.executable, "experiments/kaist_inception.py", *options, "--out", str(folder)]
    launcher = subprocess.Popen(
        [*launch, *command],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed, _ = launcher.communicate(said, timeout=timeout_s)
    finally:
        launcher.kill()
    assert launcher.returncode == 0, printed
    return RunFolder(folder), printed
