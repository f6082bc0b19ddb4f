"""Benchmarks run on one core, whatever the machine has."""

from __future__ import annotations

import os


def pytest_configure() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
