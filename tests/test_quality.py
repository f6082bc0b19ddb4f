"""The tree passes the project's linter, formatter and type checker."""

from __future__ import annotations

import subprocess
import sys

import pytest

from testbed.repository import REPOSITORY

TIMEOUT_S = 300  # mypy without a cache takes half a minute on two cores


@pytest.mark.parametrize(
    "tool", [("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)], ids=" ".join
)
def test_tree_passes(tool: tuple[str, ...]) -> None:
    """Run a tool as a developer would, from the repository's root."""
    result = subprocess.run(
        [sys.executable, "-m", *tool],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
