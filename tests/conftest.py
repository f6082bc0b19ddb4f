"""What all tests share: machines that are fit or not, and traces of an experiment.

Tests of real networks are skipped with a reason where they cannot run.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from testbed.emulation.fitness import examination
from testbed.emulation.sandbox import sandbox
from tests.command_line import StartedError
from tests.walkers import write_walkers


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `emulation` on a machine that is unfit; in CI that is a failure."""
    if item.get_closest_marker("emulation") is None:
        return
    reason = missing()
    if reason and os.environ.get("CI"):
        pytest.fail(f"CI must run every emulation test, but: {reason}", pytrace=False)
    if reason:
        pytest.skip(reason)


@functools.cache
def missing() -> str:
    """Return what the machine lacks for an emulation; nothing if it can run one."""
    if os.geteuid() != 0:
        return "needs root"
    lacks = [finding for finding in examination.examine() if finding.state == "missing"]
    return "; ".join(f"{finding.name}: {finding.detail}" for finding in lacks)


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that could run everything, and stops where the emulation would begin."""

    def execute(module: str, arguments: list[str]) -> None:
        raise StartedError(module, arguments)

    monkeypatch.setattr(examination, "examine", list)
    monkeypatch.setattr(sandbox, "execute", execute)


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Forty people who walk along x from cell to cell."""
    return write_walkers(tmp_path / "traces", 40)
