"""What all tests share: tests of real networks are skipped with a reason where they cannot run."""

from __future__ import annotations

import functools
import os

import pytest

from testbed.emulation import doctor


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
    lacks = [finding for finding in doctor.examine() if finding.state == "missing"]
    return "; ".join(f"{finding.name}: {finding.detail}" for finding in lacks)
