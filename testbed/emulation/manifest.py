"""What a run ran on: versions, machine, settings that matter; manifest.json."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from nodes.connection import CONGESTION_CONTROL
from testbed import __version__
from testbed.config import Experiment

_PACKAGES = ("mininet", "os-ken", "torch", "scikit-learn", "numpy", "pandas", "pyroute2")
_ACCELERATORS = {
    "modelled": "modelled: an edge server's clients share it; nothing of it was measured",
    "exclusive": "exclusive: an edge server's clients use it one at a time",
}
_REPOSITORY = Path(__file__).resolve().parents[2]


def describe(settings: Experiment) -> dict[str, Any]:
    """Return what is known before the run; its `status` is that of a run cut off at once."""
    return {
        "status": "interrupted",
        "start": now(),
        "end": None,
        "experiment": settings.name,
        "engine": settings.engine,
        "seed": settings.seed,
        "tdf": settings.compute.tdf,
        "compute": settings.compute.mode,
        "testbed": __version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "open_vswitch": _first_line("ovs-vswitchd", "--version"),
        "kernel": platform.release(),
        "datapath": "Open vSwitch userspace (netdev), TCP segmentation offloaded",
        "congestion_control": CONGESTION_CONTROL,
        "link_delay": "not emulated: links have rate and queue, no added propagation delay",
        "wireless_sharing": "each client has its own rate; layers and the rest share it equally",
        "accelerator": _ACCELERATORS[settings.server.accelerator],
        "cpu": _cpu(),
        "processors": os.cpu_count(),
    }


def now() -> str:
    """Return the wall time, UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _git_commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None
    command = [
        git,
        "-c",
        f"safe.directory={_REPOSITORY}",
        "-C",
        str(_REPOSITORY),
        "rev-parse",
        "HEAD",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None


def _first_line(program: str, *arguments: str) -> str | None:
    executable = shutil.which(program) or f"/usr/sbin/{program}"
    try:
        result = subprocess.run(
            [executable, *arguments], capture_output=True, text=True, check=False
        )
    except OSError:
        return None
    return result.stdout.splitlines()[0] if result.stdout else None


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
