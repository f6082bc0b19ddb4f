"""Experiments run as a user runs them: as scripts, from anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"

#: Of the synthetic campus, so few people that an experiment takes seconds.
FEW = ("--trace-format", "synthetic", "--test-people", "3", "--splits", "1")


def ended(name: str, *arguments: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(EXPERIMENTS / f"{name}.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=user,
    )


def printed(name: str, out: Path, *arguments: str) -> dict[str, list[dict[str, Any]]]:
    process = ended(name, "--json", "--out", str(out), *arguments)
    assert process.returncode == 0, process.stderr
    content: dict[str, list[dict[str, Any]]] = json.loads(process.stdout)
    assert json.loads((out / "rows.json").read_text()) == content
    return content
