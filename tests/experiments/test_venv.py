"""Experiments continue under the project's interpreter."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command_line import REPOSITORY


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of an experiment as in a fresh clone, which prints the interpreter that runs it."""
    folder = tmp_path / "clone" / "experiments"
    folder.mkdir(parents=True)
    shutil.copy(REPOSITORY / "experiments" / "_venv.py", folder)
    script = folder / "some.py"
    script.write_text("import _venv\nimport sys\nprint(sys.executable, sys.argv[1:])\n")
    return script


def test_without_packages_an_experiment_says_to_install_them(checkout: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-S", str(checkout)],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert str(checkout.parents[1] / "install.sh") in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_experiment_continues_under_the_projects_interpreter(checkout: Path) -> None:
    python = checkout.parents[1] / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(Path(sys.executable).resolve())
    ended = subprocess.run(
        [sys.executable, str(checkout), "--radius", "50"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.stdout == f"{python} ['--radius', '50']\n"
