"""A small world of nodes on the loopback device.

The nodes are the real ones, run as tasks of one event loop instead of processes of their own. A
test plays the experiment: it tells nodes where they are and hears what they say.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pandas as pd

from nodes.client import Client
from nodes.computing.client_model import (
    ClientModel,
    build_client_model,
    load_client_model,
    structure,
)
from nodes.computing.compute import Computer
from nodes.computing.memo import Memo
from nodes.control import (
    Associated,
    Attached,
    Control,
    ExperimentSide,
    Finish,
    FromNode,
    InRange,
    NodeSide,
    Position,
    Preload,
    Ready,
    Start,
    Stop,
    Stopped,
)
from nodes.edge import EdgeServer
from nodes.executions.handing_in import Executions
from nodes.executions.pool import ExecutionPool
from nodes.master import Master
from nodes.setup import ComputeMode, NodeSetup
from testbed.analysis.executions import with_executions
from testbed.clock import RunClock
from testbed.dnn.devices.device_profile import device_profile
from testbed.runs.records import collect, has_table, read_table
from testbed.runs.tables import TABLES
from testbed.values import MASTER
from tests.nodes.loopback import until

POOL = "pool"
IDLE_DEADLINE_S = 60.0  # for what is done only when nothing else wants the processor

Said = TypeVar("Said", bound=Control)


def verified(queries: pd.DataFrame) -> bool:
    """Whether queries were computed, some once more in whole, and all gave the same."""
    some = queries[["verified", "computed"]].notna().any().all()
    return bool(some and queries[["verified", "computed"]].fillna(True).all().all())


class World:
    """The nodes of one test."""

    def __init__(self, setup: NodeSetup, mode: ComputeMode) -> None:
        self.setup = setup
        self.mode: ComputeMode = mode
        self.heard: dict[str, list[FromNode]] = defaultdict(list)
        self.clock = RunClock(time.monotonic())
        self.models: dict[str, ClientModel] = {}
        self.captured = structure(setup)
        graph = self.captured.graph
        self.memo = Memo(graph, setup.memo_folder, range(len(graph)))
        self._sides: dict[str, ExperimentSide] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._listening: list[asyncio.Task[None]] = []
        self._associations = 0
        self._executions: list[Executions] = []

    def computer(self, device: str) -> Computer:
        layer_s = device_profile(device).layer_times(self.captured.graph)
        return Computer(self.captured, layer_s, self.mode, self.memo)

    async def start_pool(self) -> None:
        await self._start(
            POOL, lambda control: ExecutionPool(self.setup, POOL, control, self.captured, self.memo)
        )

    async def _join_pool(self, name: str, computer: Computer) -> Computer:
        if POOL in self._running:
            computer.executions = Executions(self.setup.executions_folder, name)
            await computer.executions.open()
            self._executions.append(computer.executions)
        return computer

    def build_model(self, client: str, computer: Computer) -> ClientModel:
        build_client_model(
            self.setup, client, self.captured, self.memo if self.mode == "memo" else None
        )
        self.models[client] = load_client_model(self.setup, client, computer)
        return self.models[client]

    async def start_master(self) -> None:
        await self._start(MASTER, lambda control: Master(self.setup, control))

    async def start_edge(self, name: str, computer: Computer | None = None) -> None:
        device = await self._join_pool(name, computer or self.computer("titan-xp"))
        await self._start(name, lambda control: EdgeServer(self.setup, name, control, device))

    async def start_client(self, name: str, computer: Computer | None = None) -> None:
        computer = await self._join_pool(name, computer or self.computer("odroid-xu4"))
        model = self.build_model(name, computer)
        await self._start(name, lambda control: Client(self.setup, name, control, computer, model))

    def start(self, delay_s: float = 0.0) -> None:
        """Let emulated time begin."""
        self.clock = RunClock(time.monotonic() + delay_s)
        for side in self._sides.values():
            side.tell(Start(self.clock.origin_s, 1.0))

    def associate(self, client: str, access_point: str, number: int | None = None) -> int:
        if number is None:
            number, self._associations = self._associations, self._associations + 1
        self._sides[client].tell(Associated(access_point, number))
        return number

    def in_range(self, client: str, *access_points: str) -> int:
        """Tell a client what it sees; return the number of the handover that this is for."""
        number, self._associations = self._associations, self._associations + 1
        self._sides[client].tell(InRange(number, access_points))
        return number

    async def move(self, client: str, access_point: str, number: int | None = None) -> Attached:
        """Associate a client and wait until it has heard its new server."""
        number = self.associate(client, access_point, number)
        return await self.says(client, Attached, lambda said: said.handover == number)

    def position(self, client: str, x_m: float, y_m: float = 0.0) -> None:
        self._sides[client].tell(Position(self.clock.now_s(), x_m, y_m))

    async def says(
        self, name: str, kind: type[Said], which: Callable[[Said], bool] = lambda said: True
    ) -> Said:
        def found() -> list[Said]:
            return [said for said in self.heard[name] if isinstance(said, kind) and which(said)]

        await until(lambda: bool(found()), f"{name} to say {kind.__name__}: {self.heard[name]}")
        return found()[0]

    def holds(self, edge: str, client: str = "walker") -> list[int]:
        """The layers whose files an edge server has, whole, ascending."""
        store = self.setup.layer_store(edge, client)
        weights = self.models[client].weights
        return [ref.layer for ref in weights if store.path(ref.digest).exists()]

    async def preload(self, edge: str) -> None:
        """Have an edge server hold everything."""
        self._sides[edge].tell(Preload())
        ready = 2  # before it and after it
        await until(
            lambda: sum(isinstance(said, Ready) for said in self.heard[edge]) == ready,
            f"{edge} to have everything",
        )

    async def stop(self, name: str) -> None:
        self._sides[name].tell(Stop())
        await self.says(name, Stopped)
        await self._running.pop(name)

    def tables(self) -> dict[str, pd.DataFrame]:
        """What all nodes have recorded; they have stopped."""
        folder = Path(self.setup.run_folder)
        collect(folder)
        tables = {table: read_table(folder, table) for table in TABLES}
        if has_table(folder, "executions"):
            executions = read_table(folder, "executions")
            tables["queries"] = with_executions(tables["queries"], executions)
        return tables

    async def close(self) -> None:
        first = (*self.setup.clients, MASTER)
        edges = [name for name in self._running if name not in (*first, POOL)]
        for name in (*self.setup.clients, *edges, MASTER):
            if name in self._running:
                await self.stop(name)
        if POOL in self._running:
            await self.finish()
            await self.stop(POOL)
        for executions in self._executions:
            await executions.close()
        for task in self._listening:
            task.cancel()

    async def finish(self) -> None:
        """Have everything executed that waits for it."""
        self._sides[POOL].tell(Finish(IDLE_DEADLINE_S))
        ready = 2  # before it and after it
        await until(
            lambda: sum(isinstance(said, Ready) for said in self.heard[POOL]) == ready,
            "the pool to have executed everything",
            IDLE_DEADLINE_S,
        )

    async def _start(
        self, name: str, build: Callable[[NodeSide], Client | EdgeServer | Master | ExecutionPool]
    ) -> None:
        ours, theirs = socket.socketpair()
        self._sides[name] = await ExperimentSide.open(ours)
        self._listening.append(asyncio.create_task(self._listen(name)))
        self._running[name] = asyncio.create_task(build(await NodeSide.open(theirs)).run())
        await until(
            lambda: (
                any(isinstance(said, Ready) for said in self.heard[name])
                or self._running[name].done()
            ),
            f"{name} to be ready",
        )
        if self._running[name].done():
            self._running[name].result()

    async def _listen(self, name: str) -> None:
        while (said := await self._sides[name].receive()) is not None:
            self.heard[name].append(said)


@contextlib.asynccontextmanager
async def world(
    setup: NodeSetup,
    mode: ComputeMode = "real",
    *,
    edges: Sequence[str] = ("ap0", "ap1"),
    master: bool = True,
) -> AsyncIterator[World]:
    """Start a master, edge servers and all clients of a setup; stop them in the end."""
    nodes = World(setup, mode)
    try:
        if mode != "profile":
            await nodes.start_pool()
        if master:
            await nodes.start_master()
        for edge in edges:
            await nodes.start_edge(edge)
        if master:
            for client in setup.clients:
                await nodes.start_client(client)
        yield nodes
    finally:
        await nodes.close()
