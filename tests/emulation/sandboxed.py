"""Runs a module of the tests as the first process of a sandbox and returns what it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from testbed.repository import REPOSITORY


def run_in_sandbox(module: str, *arguments: str, timeout_s: float) -> Any:
    """Return the JSON that `python -m MODULE` prints as its last line in a sandbox."""
    command = [sys.executable, "-m", module, *arguments]
    launcher = subprocess.Popen(
        [sys.executable, "-m", "testbed.emulation.sandbox.sandbox", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )
    try:
        out, errors = launcher.communicate(timeout=timeout_s)
    finally:
        launcher.kill()  # the sandbox ends with its launcher
    assert launcher.returncode == 0, errors[-3000:]
    return json.loads(out.splitlines()[-1])
