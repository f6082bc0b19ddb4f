"""The nursery and the nodes it forks, as the experiment sees them."""

from __future__ import annotations

import asyncio
import logging
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from nodes import requests
from nodes.control import ExperimentSide, Failed, FromNode, Ready, Stop, Stopped, ToNode
from nodes.setup import ComputeMode, NodeSetup, Role
from testbed.emulation.sandbox import background
from testbed.errors import EmulationError

_log = logging.getLogger(__name__)

#: What the master learns before it answers may take minutes (an `rnn`).
_READY_S = 600.0
_STOP_S = 60.0
_NURSERY_S = 120.0

_Reply = TypeVar("_Reply", requests.Building, requests.Forked, requests.ModelMeasure)
Hear = Callable[[FromNode], None]


class NurseryProcess:
    """The process that forks nodes; it is started early, since it imports PyTorch."""

    def __init__(self, log: Path) -> None:
        # Messages stay messages, as they would not on a stream
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = background.start(
            [sys.executable, "-m", "nodes.nursery", str(theirs.fileno())],
            log,
            niceness=background.NODE_NICENESS,  # its forks inherit it
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.processes: dict[str, int] = {}  # process number of each node of this machine
        self._channel.settimeout(_NURSERY_S)

    def set_up(self, setup: NodeSetup) -> None:
        """Give the nursery what all nodes share."""
        file = Path(setup.scratch, "nodes.json")
        file.write_bytes(msgspec.json.encode(setup))
        self._channel.sendall(str(file).encode())

    def measure(self, *, executed: bool) -> requests.ModelMeasure:
        """Return what the model takes: on the emulated devices and, where `executed`, here."""
        return self._ask(requests.Measure(executed), requests.ModelMeasure)

    def build_models(self, mode: ComputeMode, clients: Iterable[str]) -> Models:
        """Begin to build all clients' models."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ask(requests.Build(mode), requests.Building, theirs.fileno())
        theirs.close()
        return Models(ours, clients)

    def fork(self, name: str, role: Role, mode: ComputeMode, network: Path) -> socket.socket:
        """Fork a node into a network namespace; return the experiment's end of its channel."""
        ours, theirs = socket.socketpair()
        request = requests.Fork(name, role, mode, str(network))
        forked = self._ask(request, requests.Forked, theirs.fileno())
        self.processes[name] = forked.pid
        theirs.close()
        ours.setblocking(False)
        return ours

    def close(self) -> None:
        """End the nursery; nodes that still run are not affected."""
        self._channel.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:  # still importing
            self._process.kill()
            self._process.wait()

    def _ask(self, request: requests.Request, reply: type[_Reply], *descriptors: int) -> _Reply:
        try:
            socket.send_fds(self._channel, [msgspec.json.encode(request)], descriptors)
            answer = self._channel.recv(requests.MAX_REQUEST_BYTES)
        except OSError as error:
            raise EmulationError(f"the nursery does not answer: {error}; see log.txt") from error
        if not answer:
            raise EmulationError("the nursery has ended; see log.txt")
        return msgspec.json.decode(answer, type=reply)


class Models:
    """The clients' models, which are being built."""

    def __init__(self, report: socket.socket, clients: Iterable[str]) -> None:
        self._reports = report
        self._reports.setblocking(False)
        self._waiting = set(clients)

    async def built(self) -> None:
        """Wait until all are there; EmulationError if one cannot be built."""
        loop = asyncio.get_running_loop()
        with self._reports:
            while self._waiting:
                message = await loop.sock_recv(self._reports, requests.MAX_REQUEST_BYTES)
                if not message:
                    raise EmulationError("who builds the models has ended; see log.txt")
                report = msgspec.json.decode(message, type=requests.Built)
                if report.failure is not None:
                    failure = f"the model of {report.client}: {report.failure}"
                    raise EmulationError(f"{failure}; see log.txt")
                self._waiting.discard(report.client)


class Nodes:
    """The running nodes: tells them things, hears from them, and notices when one ends."""

    def __init__(self, nursery: NurseryProcess, mode: ComputeMode, hear: Hear) -> None:
        self._nursery = nursery
        self._mode: ComputeMode = mode
        self._hear = hear
        self._sides: dict[str, ExperimentSide] = {}
        self._roles: dict[str, Role] = {}
        self._ready: dict[str, asyncio.Future[None]] = {}
        self._stopped: dict[str, asyncio.Future[None]] = {}
        self._listening: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, role: Role, networks: Mapping[str, Path]) -> None:
        """Fork nodes of a role, {name: its network namespace}; wait until all are ready."""
        loop = asyncio.get_running_loop()
        for name, network in networks.items():
            channel = self._nursery.fork(name, role, self._mode, network)
            self._sides[name] = await ExperimentSide.open(channel)
            self._roles[name] = role
            self._ready[name], self._stopped[name] = loop.create_future(), loop.create_future()
            self._listening.append(asyncio.create_task(self._listen(name)))
        await self._all(self._ready[name] for name in networks)

    async def ready_again(self, names: Sequence[str], message: ToNode) -> None:
        """Tell nodes something that they answer with `Ready`; wait until all have."""
        for name in names:
            self._ready[name] = asyncio.get_running_loop().create_future()
            self._sides[name].tell(message)
        await self._all(self._ready[name] for name in names)

    def tell(self, name: str, message: ToNode) -> None:
        """Tell one node something."""
        self._sides[name].tell(message)

    def tell_all(self, message: ToNode) -> None:
        """Tell every node something."""
        for side in self._sides.values():
            side.tell(message)

    async def stop(self, role: Role) -> None:
        """Have the nodes of a role stop and wait until they have."""
        for name in self.names(role):
            self._sides[name].tell(Stop())
        if stopped := [self._stopped[name] for name in self.names(role)]:
            _, late = await asyncio.wait(stopped, timeout=_STOP_S)
            if late:
                how_many = f"{len(late)} nodes of role {role}"
                raise EmulationError(f"{how_many} did not stop in {_STOP_S:g} s")

    def close(self) -> None:
        """Close all channels, which ends what still runs."""
        for task in self._listening:
            task.cancel()
        for side in self._sides.values():
            side.close()

    def names(self, role: Role) -> list[str]:
        """Return the nodes of a role."""
        return [name for name, its_role in self._roles.items() if its_role == role]

    async def _all(self, futures: Iterable[Awaitable[None]]) -> None:
        together: asyncio.Future[Any] = asyncio.gather(*futures)
        either: set[asyncio.Future[Any]] = {together, self.failed}
        done, _ = await asyncio.wait(either, timeout=_READY_S, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            raise EmulationError(f"nodes were not ready within {_READY_S:g} s; see log.txt")
        for future in done:
            future.result()

    async def _listen(self, name: str) -> None:
        reason = f"node {name} has ended; see log.txt"
        try:
            while (message := await self._sides[name].receive()) is not None:
                self._take(name, message)
        except Exception as error:  # whatever it is, the run must not go on without hearing
            _log.exception("cannot hear %s", name)
            reason = f"cannot hear node {name}: {error!r}"
        if not self._stopped[name].done():
            self._stopped[name].set_result(None)
            self._fail(reason)

    def _take(self, name: str, message: FromNode) -> None:
        if isinstance(message, Ready):
            if not self._ready[name].done():
                self._ready[name].set_result(None)
        elif isinstance(message, Stopped):
            self._stopped[name].set_result(None)
        elif isinstance(message, Failed):
            self._fail(message.reason)
        else:
            self._hear(message)

    def _fail(self, reason: str) -> None:
        _log.error(reason)
        if not self.failed.done():
            self.failed.set_exception(EmulationError(reason))
