"""Another machine of a run, as the run sees it: an SSH connection to its outpost.

The connection carries requests, nodes' control channels, and in the end what was recorded. When it
is closed, or breaks, everything that the run has on that machine ends (`outpost`).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoReplyError
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from nodes.control import Start, ToNode
from nodes.setup import ComputeMode, NodeSetup, Role
from testbed.clock import RunClock
from testbed.emulation.evidence.monitor import Readings
from testbed.emulation.sandbox.background import NODE_NICENESS
from testbed.emulation.spread import wire
from testbed.emulation.spread.machines import ClockOffset, Exchange, Machine
from testbed.emulation.spread.relay import Relay
from testbed.errors import EmulationError, ProtocolError
from testbed.namespaces import inside_network
from testbed.runs.manifest import versions
from testbed.runs.records import RECORDS_FOLDER

#: A command to be used instead of `ssh`, with options: "ssh -F my_config".
SSH_VARIABLE = "PERDNN_TESTBED_SSH"
_SSH_OPTIONS = ("BatchMode=yes", "AddressFamily=inet", "ConnectTimeout=10", "ServerAliveInterval=5")
_HELLO_S = 60.0
_REPLY_S = 60.0
_PREPARE_S = 600.0
_END_S = 10.0
_EXCHANGES = 50
_MAX_SAID_BYTES = 1 << 16


class RemoteMachine:
    """A machine's outpost; its methods may be called from any thread.

    `outside` is the network namespace that reaches it, `folder` the run's, for what is brought
    back; what is printed there is appended to `log`. Every method raises EmulationError when the
    machine refuses, or does not answer.
    """

    def __init__(self, machine: Machine, outside: Path, folder: Path, log: Path) -> None:
        self.name = machine.destination
        self._folder = folder
        self._log = log
        self._numbers = count()
        self._waiting: dict[int, Future[wire.Reply]] = {}
        self._begun: dict[str, bytes] = {}  # by node, a message to it that is not yet whole
        self._hello: Future[wire.Hello] = Future()
        self.clocks: list[ClockOffset] = []  # measured at the beginning and at the end
        command = ssh_command(machine)
        self._said_from = log.stat().st_size if log.exists() else 0
        try:
            with inside_network(outside), log.open("ab") as said:
                self._process = subprocess.Popen(
                    ["nice", "-n", str(NODE_NICENESS), *command],  # handovers wait for it
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    process_group=0,  # Ctrl-C is for the process that takes the run down in order
                )
        except OSError as error:
            raise self._error(f"cannot be reached: {command[0]}: {error.strerror}") from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._stdout = self._process.stdout
        self._writer = wire.Writer(self._process.stdin)
        self._relay = Relay(self._say)
        for run in (self._listen, self._pass_on):
            threading.Thread(target=run, name=self.name, daemon=True).start()

    def __enter__(self) -> RemoteMachine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def hello(self) -> wire.Hello:
        """What the machine is; waits until it has said so, and refuses another version."""
        try:
            hello = self._hello.result(_HELLO_S)
        except NoReplyError as error:
            raise self._error(f"does not answer within {_HELLO_S:g} s") from error
        ours = versions(())
        if (hello.version, hello.git_commit) != (ours["testbed"], ours["git_commit"]):
            raise self._error(
                f"has testbed {hello.version} of commit {hello.git_commit}, this machine "
                f"{ours['testbed']} of {ours['git_commit']}; they have to be the same"
            )
        return hello

    def make_hosts(self, hosts: Sequence[wire.HostPart]) -> None:
        """Make access points there."""
        self._ask(wire.MakeHosts(tuple(hosts)))

    def prepare(self, setup: NodeSetup, mode: ComputeMode, *, build: bool) -> None:
        """Get ready to start nodes, with the clients' models if they `build` on them."""
        self._ask(wire.Prepare(setup, mode, build), _PREPARE_S)

    def launch(self, name: str, role: Role, mode: ComputeMode) -> socket.socket:
        """Start a node on its access point; return the experiment's end of its channel."""
        ours, theirs = socket.socketpair()
        self._relay.add(name, theirs)  # the node may speak before the machine answers
        self._ask(wire.Launch(name, role, mode))
        ours.setblocking(False)
        return ours

    def route(self, access_point: str, address: str, mac: str | None) -> None:
        """Route to a client by an access point's radio there; without `mac`, stop routing."""
        self._ask(wire.RouteClient(access_point, address, mac))

    def measure_clock(self) -> ClockOffset:
        """Return what the machine's monotonic clock is ahead, and remember it."""
        exchanges = []
        for _ in range(_EXCHANGES):
            asked_s = time.monotonic()
            clock = self._ask(wire.ReadClock())
            assert isinstance(clock, wire.Clock)
            exchanges.append(Exchange(asked_s, clock.monotonic_s, time.monotonic()))
        self.clocks.append(ClockOffset.of(exchanges))
        return self.clocks[-1]

    def watch(self, clock: RunClock) -> None:
        """Begin to watch the machine; the clock is the run's."""
        origin_s = clock.origin_s + self.clocks[0].offset_s
        self._ask(wire.Watch(msgspec.structs.replace(clock, origin_s=origin_s)))

    def readings(self) -> Readings:
        """Return what was read since `watch`."""
        watched = self._ask(wire.Read())
        return watched.readings if isinstance(watched, wire.Watched) else Readings()

    def bring_back(self) -> None:
        """Bring what was recorded there into the run's folder."""
        (self._folder / RECORDS_FOLDER).mkdir(exist_ok=True)
        self.measure_clock()
        with self._log.open("a") as log:
            log.write(f"--- on {self.name}:\n")
        self._ask(wire.Collect(), _PREPARE_S)  # a slow link takes its time

    def close(self) -> None:
        """End the connection, and with it everything there."""
        with contextlib.suppress(OSError):
            self._writer.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, request: wire.Request, timeout_s: float = _REPLY_S) -> wire.Reply:
        what = type(request).__name__
        number = next(self._numbers)
        future = self._waiting[number] = Future()
        try:
            self._writer.write(wire.Call(number, request))
            reply = future.result(timeout_s)
        except (OSError, ValueError) as error:
            raise self._error("can no longer be reached; see log.txt") from error
        except NoReplyError as error:
            raise self._error(f"does not answer {what} within {timeout_s:g} s") from error
        finally:
            self._waiting.pop(number, None)
        if isinstance(reply, wire.Unfulfilled):
            raise self._error(f"{what}: {reply.reason}")
        return reply

    def _listen(self) -> None:
        reason = "has ended the connection"
        try:
            while message := wire.read(self._stdout, wire.FromMachine):
                self._take(message)
        except (OSError, ProtocolError) as error:
            reason = f"cannot be heard: {error}"
        else:
            if not self._hello.done():
                reason = f"cannot be reached: {self._last_said() or 'see log.txt'}"
        waiting: list[Future[Any]] = [self._hello, *self._waiting.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(self._error(reason))
        self._relay.close()

    def _last_said(self) -> str:
        """Return the last line that `ssh` printed, which says why it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_S)
        with self._log.open("rb") as log:
            log.seek(self._said_from)
            lines = log.read(_MAX_SAID_BYTES).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _take(self, message: Any) -> None:
        if isinstance(message, wire.Said):
            self._relay.deliver(message.node, message.data)
        elif isinstance(message, wire.CallResult):
            if future := self._waiting.get(message.number):
                future.set_result(message.reply)
        elif isinstance(message, wire.Piece):
            self._keep(message)
        elif isinstance(message, wire.Hello):
            self._hello.set_result(message)

    def _keep(self, piece: wire.Piece) -> None:
        name = Path(piece.file).name  # no path: it stays in the folder
        file = self._folder / RECORDS_FOLDER / name if name.endswith(".jsonl") else self._log
        with file.open("ab") as kept:
            kept.write(piece.data)

    def _say(self, node: str, data: bytes) -> None:
        *lines, self._begun[node] = (self._begun.get(node, b"") + data).split(b"\n")
        if lines or not data:
            there = b"".join(in_its_time(line, self.clocks[0].offset_s) for line in lines)
            self._writer.write(wire.Said(node, there))

    def _pass_on(self) -> None:
        self._relay.run(wire.HEARTBEAT_S, lambda: self._writer.write(wire.Alive()))

    def _error(self, text: str) -> EmulationError:
        return EmulationError(f"machine {self.name} {text}")


def ssh_command(machine: Machine) -> list[str]:
    """Return the command that starts a machine's outpost, as the user who called sudo.

    So the keys, the agent and the ~/.ssh/config with which `ssh host` works are used.
    """
    user = os.environ.get("SUDO_USER", "root")
    as_user = [] if user == "root" else ["sudo", "-u", user, "-H", "--"]
    ssh = shlex.split(os.environ.get(SSH_VARIABLE, "ssh"))
    # What ssh is given is read by a shell there
    command = shlex.join([str(machine.python), "-m", "testbed.emulation.spread.outpost"])
    options = [word for option in _SSH_OPTIONS for word in ("-o", option)]
    return [*as_user, *ssh, "-T", *options, machine.destination, command]


def in_its_time(line: bytes, offset_s: float) -> bytes:
    """Return a message to a node with its times on a clock that is ahead by `offset_s`."""
    message = msgspec.json.decode(line, type=ToNode)
    if isinstance(message, Start):
        message = msgspec.structs.replace(message, origin_s=message.origin_s + offset_s)
    return msgspec.json.encode(message) + b"\n"
