"""Fixtures of the controllers' tests: Open vSwitch and controllers that are gone afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controllers.routes import Network
from tests.controllers.private_switches import PROGRAMS, SCHEMA, PrivateSwitches, RunningController


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for Unix sockets."""
    path = Path(tempfile.mkdtemp(prefix="controllers-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def switches(folder: Path) -> Iterator[PrivateSwitches]:
    if os.geteuid() != 0:
        pytest.skip("Open vSwitch's userspace datapath needs root")
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing or not SCHEMA.exists():
        pytest.skip(f"Open vSwitch is not installed: {', '.join(missing) or SCHEMA}")
    private = PrivateSwitches(folder)
    try:
        private.start()
        yield private
    finally:
        private.stop()


@pytest.fixture
def start_controller(folder: Path) -> Iterator[Callable[[Network], RunningController]]:
    running: list[RunningController] = []

    def start(network: Network) -> RunningController:
        running.append(RunningController(folder, network))
        return running[-1]

    yield start
    for controller in running:
        controller.stop()
