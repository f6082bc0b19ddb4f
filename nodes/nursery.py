"""The pre-loaded parent of all nodes: imports PyTorch once, then forks each into its namespace.

Importing PyTorch takes 2.3 s and 219 MB; forked from a parent that has done so, 200 nodes were
computing after 1.9 s at 5.5 MB each. No tensor operation with more than one thread may run before
the forks, since OpenMP's threads do not survive them.

The experiment talks to the nursery over a socket pair, one message each way at a time: first the
name of the setup's file, then requests as JSON; with a request to fork travels the node's end of
its control channel as a file descriptor.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import socket
import sys
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec
import numpy as np
import setproctitle
import torch

from nodes import requests
from nodes.client import Client
from nodes.computing import heap
from nodes.computing.apart import Apart, end_with
from nodes.computing.client_model import (
    build_client_model,
    load_client_model,
    structure,
    with_own_weights,
)
from nodes.computing.compute import Computer
from nodes.computing.memo import Memo
from nodes.computing.outputs import same_tensors
from nodes.control import Failed, NodeSide, Ready
from nodes.edge import EdgeServer
from nodes.executions.handing_in import Executions
from nodes.executions.pool import ExecutionPool
from nodes.setup import ComputeMode, NodeSetup, Role
from nodes.transport.connection import Connection, serve
from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.graph import INPUT
from testbed.dnn.partitioning.partition import Costs
from testbed.dnn.partitioning.planners import planner_of
from testbed.dnn.partitioning.upload_stages import handed_on, upload_stages
from testbed.dnn.placed_executor import PlacedExecutor
from testbed.dnn.target import Device, Target, begin
from testbed.errors import EmulationError, TestbedError
from testbed.gpu.nvml import SAME_ORDER
from testbed.namespaces import enter_network

if TYPE_CHECKING:
    from nodes.master import Master

_MEASURED_PASSES = 3
_SLOWDOWNS = (1, 4, 16)  # of servers: plans differ little between
_MET_SHARE = 0.999  # of an upload's time: 25 MB of outputs of Inception, where all are 42
_MAX_CHARACTERS = 1000  # of a reason, which has to fit a request
_UNTIL_SPECIALISED = 10  # calls after which CPython (3.11 on) has rewritten a function in place
_HURRIES, _TAKES_ITS_TIME = -10, 0  # niceness of an edge server with a client, and without one
_BUILDERS_YIELD = 15  # in niceness: the network comes up meanwhile

_log = logging.getLogger(__name__)


class Nursery:
    """Holds what all nodes have in common: the settings and the model's structure."""

    def __init__(self, setup: NodeSetup) -> None:
        self._setup = setup
        self._captured: CapturedModel = structure(setup)
        settings = setup.experiment.model
        self._layer_s = {
            "client": device_profile(settings.client_device).layer_times(self._captured.graph),
            "edge": device_profile(settings.server_device).layer_times(self._captured.graph),
        }
        self._memo = Memo(self._captured.graph, setup.memo_folder, self._met())
        self._computers: dict[tuple[Role, ComputeMode], Computer] = {}
        self._warm_up()

    def serve(self, channel: socket.socket) -> None:
        """Answer requests until the experiment closes the channel."""
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nodes are reaped as they end
        while True:
            line, descriptors, _, _ = socket.recv_fds(channel, requests.MAX_REQUEST_BYTES, 1)
            if not line:
                return
            request = msgspec.json.decode(line, type=requests.Request)
            reply: requests.Reply
            if isinstance(request, requests.Fork):
                reply = self._fork(request, socket.socket(fileno=descriptors[0]), channel)
            elif isinstance(request, requests.Build):
                reply = self._build(request, socket.socket(fileno=descriptors[0]), channel)
            else:
                reply = self._measure(request.executed)
            channel.sendall(msgspec.json.encode(reply))

    def _costs(self, slowdown: float = 1.0) -> Costs:
        wireless = self._setup.experiment.wireless
        client_s, server_s = self._layer_s["client"], slowdown * self._layer_s["edge"]
        return Costs(client_s, server_s, wireless.up_bps, wireless.down_bps)

    def _met(self) -> frozenset[int]:
        """Return the layers whose outputs nearly all queries of an upload, and after it, need."""
        graph, planner = self._captured.graph, planner_of(self._setup.experiment.model)
        passed = (upload_stages(graph, self._costs(slowdown), planner) for slowdown in _SLOWDOWNS)
        return handed_on(graph, chain.from_iterable(passed), _MET_SHARE)

    def _warm_up(self) -> None:
        """Do once what every node does first: its pages are then shared, not each node's own."""
        graph = self._captured.graph
        planner = planner_of(self._setup.experiment.model)
        planner(graph, self._costs(), np.ones(len(graph), dtype=bool))
        _ = graph.live_bytes  # computed once
        nothing = bytes(graph.bytes_of(INPUT))
        same_tensors(graph, INPUT, nothing, nothing)
        for _ in range(_UNTIL_SPECIALISED):
            asyncio.run(_rehearse())
        heap.give_back()  # 90 MB that capturing the model took

    def _fork(
        self, request: requests.Fork, control: socket.socket, channel: socket.socket
    ) -> requests.Forked:
        if request.role in ("client", "edge"):
            self._computer(request.role, request.mode)  # forks of a role share what it begins with
        pid = os.fork()
        if pid == 0:
            channel.close()
            self._become(request, control)
        control.close()
        return requests.Forked(pid)

    def _build(
        self, request: requests.Build, reports: socket.socket, channel: socket.socket
    ) -> requests.Building:
        """Build all models in as many processes as there are processors."""
        processes = min(len(os.sched_getaffinity(0)), len(self._setup.clients))
        for number in range(processes):
            if os.fork() == 0:
                channel.close()
                setproctitle.setproctitle("testbed builder")
                os.nice(_BUILDERS_YIELD)
                for client in self._setup.clients[number::processes]:
                    reports.sendall(msgspec.json.encode(self._built(client, request.mode)))
                os._exit(0)
        reports.close()
        return requests.Building(processes)

    def _built(self, client: str, mode: ComputeMode) -> requests.Built:
        memo = self._memo if mode == "memo" else None
        try:
            build_client_model(self._setup, client, self._captured, memo)
        except Exception as error:
            _log.exception("the model of %s", client)
            return requests.Built(client, repr(error)[:_MAX_CHARACTERS])
        return requests.Built(client)

    def _become(self, request: requests.Fork, control: socket.socket) -> NoReturn:
        def live() -> None:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            setproctitle.setproctitle(f"testbed {request.role} {request.name}")
            multiprocessing.current_process().name = request.name  # in log.txt
            enter_network(Path(request.network))
            asyncio.run(self._live(request, control))

        end_with(live, f"{request.name} ended")

    async def _live(self, request: requests.Fork, channel: socket.socket) -> None:
        control = await NodeSide.open(channel)
        try:
            node = self._node(request, control)
            executions = await self._join_pool(request)
            await node.run()
            if executions is not None:
                await executions.close()
        except (TestbedError, OSError) as error:
            control.tell(Failed(f"{request.name}: {error}"))
            raise
        finally:
            await control.close()

    async def _join_pool(self, request: requests.Fork) -> Executions | None:
        """Connect to this machine's execution pool, unless nothing is executed there."""
        if request.role not in ("client", "edge") or request.mode == "profile":
            return None
        executions = Executions(self._setup.executions_folder, request.name)
        await executions.open()
        self._computer(request.role, request.mode).executions = executions
        return executions

    def _node(
        self, request: requests.Fork, control: NodeSide
    ) -> Client | EdgeServer | Master | ExecutionPool:
        setup = self._setup
        if request.role == "pool":
            return ExecutionPool(setup, request.name, control, self._captured, self._memo)
        if request.role == "master":
            from nodes.master import Master  # and scikit-learn, which no other node needs

            return Master(setup, control)
        computer = self._computer(request.role, request.mode)
        if request.role == "edge":
            _hurry(False)
            return EdgeServer(setup, request.name, control, computer, _hurry)
        model = load_client_model(setup, request.name, computer)
        return Client(setup, request.name, control, computer, model)

    def _computer(self, role: Role, mode: ComputeMode) -> Computer:
        if mode != "real" and not self._computers:
            heap.large_blocks_apart()
        if (role, mode) not in self._computers:
            compute = self._setup.experiment.compute
            on_gpu = role == "edge" and compute.device == "cuda"
            target = Target("cuda" if on_gpu else "cpu", compute.precision)
            computer = Computer(self._captured, self._layer_s[role], mode, self._memo, target)
            self._computers[role, mode] = computer
        return self._computers[role, mode]

    def _measure(self, executed: bool) -> requests.ModelMeasure:
        on_gpu = self._setup.experiment.compute.device == "cuda"
        graph = self._captured.graph
        return requests.ModelMeasure(
            pass_s=self._pass_s("cpu") if executed else 0.0,
            client_s=float(self._layer_s["client"].sum()),
            server_s=float(self._layer_s["edge"].sum()),
            weight_bytes=int(graph.weight_bytes.sum()),
            memo_bytes=self._memo.kept_bytes,
            gpu_pass_s=self._pass_s("cuda") if executed and on_gpu else None,
        )

    def _pass_s(self, device: Device) -> float:
        """Measure apart, so that this process stays free of tensor operations, and of CUDA."""
        target = Target(device, self._setup.experiment.compute.precision)
        try:
            apart = Apart(lambda: str(_pass_s(self._setup, self._captured, target)).encode())
            return float(apart.returned())
        except TestbedError as error:
            raise EmulationError("this machine cannot execute the model; see log.txt") from error


def _hurry(hurries: bool) -> None:
    """Give this process the priority of those with times to keep, or that of others."""
    os.setpriority(os.PRIO_PROCESS, 0, _HURRIES if hurries else _TAKES_ITS_TIME)


async def _rehearse() -> None:
    """Open a control channel and listen, as a node does."""
    ours, theirs = socket.socketpair()
    with theirs:
        control = await NodeSide.open(ours)
        control.tell(Ready())
        (await serve("127.0.0.1", 0, Connection.close)).close()
        await control.close()


def _pass_s(setup: NodeSetup, captured: CapturedModel, target: Target) -> float:
    own, examples = with_own_weights(setup, captured, 0)
    executor = PlacedExecutor(own, target)
    # Of one processor, whoever else wants it meanwhile
    clock_s = time.thread_time if target.device == "cpu" else time.monotonic
    if target.device != "cpu":
        begin(target.device)
    times = []
    for _ in range(1 + _MEASURED_PASSES):  # the first warms up
        started_s = clock_s()
        executor.query(*examples)
        times.append(clock_s() - started_s)
    return float(np.median(times[1:]))


def main(channel_fd: str) -> None:
    """Run the nursery: `python -m nodes.nursery CHANNEL_FD`."""
    setproctitle.setproctitle("testbed nursery")
    os.environ.update(SAME_ORDER)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    channel = socket.socket(fileno=int(channel_fd))
    setup_file = channel.recv(requests.MAX_REQUEST_BYTES).decode()  # comes when the network is up
    if not setup_file:
        return
    setup = msgspec.json.decode(Path(setup_file).read_bytes(), type=NodeSetup)
    log = Path(setup.run_folder, "log.txt")
    line = "%(asctime)s %(processName)s %(name)s %(levelname)s %(message)s"
    logging.basicConfig(filename=log, format=line, level=logging.INFO)
    nursery = Nursery(setup)
    gc.freeze()  # collecting in the forks would copy the pages that they share
    nursery.serve(channel)


if __name__ == "__main__":
    main(*sys.argv[1:])
