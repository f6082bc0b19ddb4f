"""A machine's part of a run that was started on another: `python -m testbed.emulation.outpost`.

`ssh` starts it, and it speaks `wire` on standard input and output. It lives in a sandbox of its
own, so everything that it starts ends with it; and it ends when its input does, or is silent for
too long: with the SSH connection, however that ends.

    the run -- ssh ---- sshd -- launcher -- outpost, first process of a sandbox
       |                                      |-- nursery -- edge servers
       `------ VXLAN ------------------------ namespaces of access points
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import queue
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import msgspec
import psutil
from pyroute2 import IPRoute

from testbed.emulation import sandbox, shaping
from testbed.emulation.addresses import GATEWAY_MAC
from testbed.emulation.air import AGGREGATED_FRAMES
from testbed.emulation.monitor import Monitor
from testbed.emulation.namespaces import inside_network, interface_index, new_network
from testbed.emulation.network import SEGMENT_FRAMES, give_address, set_sysctl
from testbed.emulation.processes import Nursery
from testbed.emulation.relay import Relay
from testbed.emulation.shaping import Shape
from testbed.emulation.tunnels import open_tunnel
from testbed.emulation.wire import (
    HEARTBEAT_S,
    PIECE_BYTES,
    SILENCE_S,
    Alive,
    Answer,
    Ask,
    Clock,
    Collect,
    Done,
    Hello,
    HostPart,
    Launch,
    Piece,
    Prepare,
    Read,
    ReadClock,
    Refused,
    Reply,
    Request,
    Route,
    Said,
    Settle,
    Watch,
    Watched,
    Writer,
    read_there,
)
from testbed.manifest import versions
from testbed.records import RECORDS_FOLDER

_MODULE = "testbed.emulation.outpost"
_REPOSITORY = Path(__file__).resolve().parents[2]
_LOOPBACK = 1  # its index in every namespace
_NUD_PERMANENT = 0x80
_SCOPE_LINK = 253

_log = logging.getLogger(__name__)


class AccessPoint:
    """An access point's namespace here: both interfaces are tunnels to the run's machine."""

    def __init__(self, part: HostPart, scratch: Path, outside: Path) -> None:
        self.network = new_network(scratch / "netns" / part.name)
        backhaul, radio = f"{part.name}-eth0", f"{part.name}-wlan0"
        open_tunnel(outside, self.network, backhaul, part.backhaul, part.mac)
        open_tunnel(outside, self.network, radio, part.radio, GATEWAY_MAC)
        self._radio = interface_index(self.network, radio)
        with inside_network(self.network):
            set_sysctl()
            shaping.apply({backhaul: Shape(part.rate_bps, part.queue_bytes, gso=True)})
            self._netlink = IPRoute()
        self._netlink.link("set", index=_LOOPBACK, state="up")
        self._netlink.link("set", index=self._radio, gso_max_segs=AGGREGATED_FRAMES)
        index = interface_index(self.network, backhaul)
        self._netlink.link("set", index=index, gso_max_segs=SEGMENT_FRAMES)
        give_address(self._netlink, index, part.address)

    def route(self, route: Route) -> None:
        """Route to a client by the radio, or no more."""
        if route.action == "replace":
            self._netlink.neigh(
                "replace",
                dst=route.address,
                lladdr=route.mac,
                ifindex=self._radio,
                state=_NUD_PERMANENT,
            )
        destination = f"{route.address}/32"
        self._netlink.route(route.action, dst=destination, oif=self._radio, scope=_SCOPE_LINK)


class Outpost:
    """Carries out what the run asks of this machine."""

    def __init__(self, writer: Writer, scratch: Path, outside: Path) -> None:
        self._writer = writer
        self._scratch = scratch
        self._outside = outside
        self._folder = scratch / "run"  # what the run's folder is there
        self._folder.mkdir()
        self._log = self._folder / "log.txt"
        self._nursery = Nursery(self._log)
        self._monitor: Monitor | None = None
        self._access_points: dict[str, AccessPoint] = {}
        self._asked: queue.SimpleQueue[Ask] = queue.SimpleQueue()
        self._heard_s = time.monotonic()
        self.relay = Relay(lambda node, data: writer.write(Said(node, data)))

    def listen(self, stream: IO[bytes]) -> None:
        """Hear the run until it has gone, and then end everything here."""
        try:
            while (message := read_there(stream)) is not None:
                self._heard_s = time.monotonic()
                if isinstance(message, Said):
                    self.relay.deliver(message.node, message.data)
                elif isinstance(message, Ask) and isinstance(message.request, ReadClock):
                    self._writer.write(Answer(message.number, Clock(time.monotonic())))
                elif isinstance(message, Ask):
                    self._asked.put(message)
        finally:
            os._exit(0)  # the kernel ends the sandbox with its first process

    def pulse(self) -> None:
        """Tell the run that this machine lives; end everything if the run has been silent."""
        if time.monotonic() - self._heard_s > SILENCE_S:
            os._exit(1)
        self._writer.write(Alive())

    def work(self) -> None:
        """Answer requests for ever; models are built beside the others."""
        with ThreadPoolExecutor(1, "prepare") as beside:
            while True:
                asked = self._asked.get()
                if isinstance(asked.request, Prepare):
                    beside.submit(self._answer, asked)
                else:
                    self._answer(asked)

    def _answer(self, asked: Ask) -> None:
        reply: Reply
        try:
            reply = self._carry_out(asked.request) or Done()
        except Exception as error:  # whatever it is, the run is to hear of it
            _log.exception("%s", type(asked.request).__name__)
            reply = Refused(f"{type(error).__name__}: {error}")
        self._writer.write(Answer(asked.number, reply))

    def _carry_out(self, request: Request) -> Reply | None:
        if isinstance(request, Settle):
            for part in request.hosts:
                made = AccessPoint(part, self._scratch, self._outside)
                self._access_points[part.name] = made
        elif isinstance(request, Prepare):
            self._prepare(request)
        elif isinstance(request, Launch):
            network = self._access_points[request.name].network
            channel = self._nursery.fork(request.name, request.role, request.mode, network)
            channel.setblocking(True)
            self.relay.add(request.name, channel)
        elif isinstance(request, Route):
            self._access_points[request.access_point].route(request)
        elif isinstance(request, Watch):
            self._monitor = Monitor(self._nursery.processes, set(), request.clock)
            run = self._monitor.run
            threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
        elif isinstance(request, Read) and self._monitor is not None:
            return Watched(self._monitor.readings)
        elif isinstance(request, Collect):
            self._send_records()
        return None

    def _prepare(self, request: Prepare) -> None:
        here = {"scratch": str(self._scratch), "run_folder": str(self._folder)}
        setup = msgspec.structs.replace(request.setup, **here)
        self._nursery.set_up(setup)
        if request.build:
            models = self._nursery.build_models(request.mode, setup.clients)
            asyncio.run(models.built())

    def _send_records(self) -> None:
        for file in (*self._folder.glob(f"{RECORDS_FOLDER}/*"), self._log):
            if not file.exists():
                continue
            with file.open("rb") as content:
                while data := content.read(PIECE_BYTES):
                    self._writer.write(Piece(file.name, data))


def serve(there: str, here: str) -> None:
    """Be a run's outpost on `there`, this machine's address, for the run's machine, `here`."""
    stream, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what anything prints is no message
    os.chdir(_REPOSITORY)  # where modules of the user's own lie
    writer = Writer(out)
    said = versions(())
    writer.write(
        Hello(
            there=there,
            here=here,
            version=said["testbed"],
            git_commit=said["git_commit"],
            kernel=platform.release(),
            processors=len(os.sched_getaffinity(0)),
            memory_bytes=psutil.virtual_memory().total,
        )
    )
    outpost = Outpost(writer, sandbox.scratch_folder(), sandbox.outside_network())
    for run in (
        lambda: outpost.listen(stream),
        lambda: outpost.relay.run(HEARTBEAT_S, outpost.pulse),
    ):
        threading.Thread(target=run, daemon=True).start()
    outpost.work()


def main(arguments: Sequence[str]) -> None:
    """Become root if need be, then the first process of a sandbox, then serve."""
    if sandbox.SCRATCH_VARIABLE in os.environ:
        serve(*arguments)
        return
    if not arguments:
        try:
            here, _, there, _ = os.environ["SSH_CONNECTION"].split()
        except (KeyError, ValueError):
            sys.exit("an outpost is started over SSH, by a run on another machine")
        arguments = [there, here]
    if os.geteuid() == 0:
        sandbox.execute(_MODULE, list(arguments))
    os.execvp("sudo", ["sudo", "-n", sys.executable, "-m", _MODULE, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
