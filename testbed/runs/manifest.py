"""What a run ran on: versions and machine; manifest.json, as far as both engines say it alike."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from testbed import __version__
from testbed.repository import REPOSITORY
from testbed.settings.experiment import Experiment


def describe(settings: Experiment, packages: tuple[str, ...]) -> dict[str, Any]:
    """Return what is known before the run; its `status` is that of a run cut off at once.

    `packages` are those whose versions matter.
    """
    return {
        "status": "interrupted",
        "start": now(),
        "end": None,
        "experiment": settings.name,
        "engine": settings.engine,
        "seed": settings.seed,
        "tdf": settings.compute.dilation,
        "compute": settings.compute.mode,
        **versions(packages),
        "kernel": platform.release(),
        "cpu": _cpu(),
        "processors": os.cpu_count(),
    }


def versions(packages: tuple[str, ...]) -> dict[str, Any]:
    """Return the versions of the testbed, of Python and of these packages."""
    return {
        "testbed": __version__,
        "git_commit": _git_commit(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }


def now() -> str:
    """Return the wall time, UTC, ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _git_commit() -> str | None:
    if shutil.which("git") is None:
        return None
    trusted = ("-c", f"safe.directory={REPOSITORY}", "-C", str(REPOSITORY))
    command = ["git", *trusted, "rev-parse", "HEAD"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() or None


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
