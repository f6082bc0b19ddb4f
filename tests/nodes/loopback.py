"""Addresses on the loopback device, and the settings of runs of nodes there.

Each node has an address of its own in 127.0.0.0/8.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nodes.setup import NodeSetup
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import (
    Compute,
    Experiment,
    Migration,
    Model,
    Server,
    Traces,
    Wireless,
)
from testbed.values import MASTER, AccessPoint

MODEL = "tests.nodes.tiny_model:factory"
DEADLINE_S = 10.0
INTERVAL_S = 0.4
FAST = Wireless(up_bps=1e9, down_bps=1e9)
SHARED = Server()
PLACES = tuple(AccessPoint(f"ap{i}", 40.0 * i, 0.0) for i in range(3))

#: Tests of several processes at once must not meet at an address.
_NETWORK = f"127.{100 + os.getpid() // 250 % 100}.{os.getpid() % 250}"


def address(number: int) -> str:
    return f"{_NETWORK}.{number}"


def make_setup(
    folder: Path,
    clients: Sequence[str] = ("walker",),
    model: dict[str, Any] | None = None,
    wireless: Wireless = FAST,
    server: Server = SHARED,
    **migration: Any,
) -> NodeSetup:
    """Settings of a run with transfers so cheap that everything is best executed at the server."""
    settings = Experiment(
        name="loopback",
        traces=Traces(interval_s=INTERVAL_S),
        wireless=wireless,
        server=server,
        model=Model(name=MODEL, **{"query_gap_s": 0.01, "distinct_inputs": 2} | (model or {})),
        migration=Migration(**{"predictor": "stay", "trajectory_length": 1} | migration),
        compute=Compute(verify_share=1.0),
    )
    names = [MASTER, *(place.name for place in PLACES)]
    setup = NodeSetup(
        experiment=settings,
        run_folder=str(folder / "run"),
        scratch=str(folder / "scratch"),
        access_points=PLACES,
        addresses={name: address(number) for number, name in enumerate(names, start=1)},
        clients=tuple(clients),
        warm_start=None,
        image_rest=None,
        images_stay=False,
        trajectories=dict.fromkeys(clients, ()),
    )
    (folder / "scratch").mkdir()
    run = RunFolder.at(folder / "run")
    run.write_training([np.zeros((9, 2))])
    return setup


async def until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for something that can only be looked at."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {deadline_s:g} s in vain for {what}"
        await asyncio.sleep(0.005)
