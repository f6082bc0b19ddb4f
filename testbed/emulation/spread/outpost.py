"""A machine's part of a run that was started on another.

    python -m testbed.emulation.spread.outpost

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
from functools import partial
from pathlib import Path
from typing import IO

import msgspec
import psutil
from pyroute2 import IPRoute

from testbed.emulation.briefing import image_rest
from testbed.emulation.evidence.monitor import Monitor
from testbed.emulation.network.addresses import GATEWAY_MAC
from testbed.emulation.network.air import route_by_radio
from testbed.emulation.network.network import give_address, set_sysctl, shaping
from testbed.emulation.network.shaping import AGGREGATED_FRAMES, SEGMENT_FRAMES
from testbed.emulation.processes import NurseryProcess
from testbed.emulation.sandbox import sandbox
from testbed.emulation.spread import wire
from testbed.emulation.spread.relay import Relay
from testbed.emulation.spread.tunnels import open_tunnel
from testbed.namespaces import inside_network, interface_index, new_network
from testbed.repository import REPOSITORY
from testbed.runs.manifest import versions
from testbed.runs.records import RECORDS_FOLDER

_MODULE = "testbed.emulation.spread.outpost"

_log = logging.getLogger(__name__)


class RemoteAccessPoint:
    """An access point's namespace here: both interfaces are tunnels to the run's machine."""

    def __init__(self, part: wire.HostPart, scratch: Path, outside: Path) -> None:
        self.network = new_network(scratch / "netns" / part.name)
        backhaul, radio = f"{part.name}-eth0", f"{part.name}-wlan0"
        open_tunnel(outside, self.network, backhaul, part.backhaul, part.mac)
        open_tunnel(outside, self.network, radio, part.radio, GATEWAY_MAC)
        index = interface_index(self.network, radio)
        with inside_network(self.network):
            set_sysctl()
            shaping.apply({backhaul: part.uplink})
            netlink = IPRoute()
        self.route = partial(route_by_radio, netlink, index)
        netlink.link("set", ifname="lo", state="up")
        netlink.link("set", index=index, gso_max_segs=AGGREGATED_FRAMES)
        index = interface_index(self.network, backhaul)
        netlink.link("set", index=index, gso_max_segs=SEGMENT_FRAMES)
        give_address(netlink, index, part.address)


class Outpost:
    """Carries out what the run asks of this machine."""

    def __init__(self, writer: wire.Writer, scratch: Path, outside: Path) -> None:
        self._writer = writer
        self._scratch = scratch
        self._outside = outside
        self._folder = scratch / "run"  # what the run's folder is there
        self._folder.mkdir()
        self._log = self._folder / "log.txt"
        self._nursery = NurseryProcess(self._log)
        self._monitor: Monitor | None = None
        self._access_points: dict[str, RemoteAccessPoint] = {}
        self._asked: queue.SimpleQueue[wire.Call] = queue.SimpleQueue()
        self._heard_s = time.monotonic()
        self.relay = Relay(lambda node, data: writer.write(wire.Said(node, data)))

    def listen(self, stream: IO[bytes]) -> None:
        """Hear the run until it has gone, and then end everything here."""
        try:
            while message := wire.read(stream, wire.ToMachine):
                self._heard_s = time.monotonic()
                match message:
                    case wire.Said(node, data):
                        self.relay.deliver(node, data)
                    case wire.Call(number, wire.ReadClock()):
                        clock = wire.Clock(time.monotonic())
                        self._writer.write(wire.CallResult(number, clock))
                    case wire.Call():
                        self._asked.put(message)
        finally:
            os._exit(0)  # the kernel ends the sandbox with its first process

    def pulse(self) -> None:
        """Tell the run that this machine lives; end everything if the run has been silent."""
        if time.monotonic() - self._heard_s > wire.SILENCE_S:
            os._exit(1)
        self._writer.write(wire.Alive())

    def work(self) -> None:
        """Answer requests without end; models are built in a thread of their own."""
        with ThreadPoolExecutor(1, "prepare") as beside:
            while True:
                asked = self._asked.get()
                if isinstance(asked.request, wire.Prepare):
                    beside.submit(self._answer, asked)
                else:
                    self._answer(asked)

    def _answer(self, asked: wire.Call) -> None:
        reply: wire.Reply
        try:
            reply = self._carry_out(asked.request) or wire.Fulfilled()
        except Exception as error:  # whatever it is, the run is to hear of it
            _log.exception("%s", type(asked.request).__name__)
            reply = wire.Unfulfilled(f"{type(error).__name__}: {error}")
        self._writer.write(wire.CallResult(asked.number, reply))

    def _carry_out(self, request: wire.Request) -> wire.Reply | None:
        if isinstance(request, wire.MakeHosts):
            for part in request.hosts:
                made = RemoteAccessPoint(part, self._scratch, self._outside)
                self._access_points[part.name] = made
        elif isinstance(request, wire.Prepare):
            self._prepare(request)
        elif isinstance(request, wire.Launch):
            anywhere = next(iter(self._access_points.values()))  # a pool has no network
            network = self._access_points.get(request.name, anywhere).network
            channel = self._nursery.fork(request.name, request.role, request.mode, network)
            channel.setblocking(True)
            self.relay.add(request.name, channel)
        elif isinstance(request, wire.RouteClient):
            self._access_points[request.access_point].route(request.address, request.mac)
        elif isinstance(request, wire.Watch):
            self._monitor = Monitor(self._nursery.processes, set(), request.clock)
            threading.Thread(target=asyncio.run, args=(self._monitor.run(),), daemon=True).start()
        elif isinstance(request, wire.Read) and self._monitor is not None:
            return wire.Watched(self._monitor.readings)
        elif isinstance(request, wire.Collect):
            self._send_records()
        return None

    def _prepare(self, request: wire.Prepare) -> None:
        here = {"scratch": str(self._scratch), "run_folder": str(self._folder)}
        setup = msgspec.structs.replace(request.setup, **here)
        image_rest(setup.experiment, Path(setup.scratch))  # whose bytes are needed here too
        self._nursery.set_up(setup)
        if request.build:
            asyncio.run(self._nursery.build_models(request.mode, setup.clients).built())

    def _send_records(self) -> None:
        files = (*self._folder.glob(f"{RECORDS_FOLDER}/*"), self._log)
        for file in filter(Path.exists, files):
            with file.open("rb") as content:
                while data := content.read(wire.PIECE_BYTES):
                    self._writer.write(wire.Piece(file.name, data))


def serve(there: str, here: str) -> None:
    """Be a run's outpost on `there`, this machine's address, for the run's machine, `here`."""
    stream, out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what anything prints is no message
    os.chdir(REPOSITORY)  # a user's own modules are found here
    writer = wire.Writer(out)
    said = versions(())
    hello = wire.Hello(
        there=there,
        here=here,
        version=said["testbed"],
        git_commit=said["git_commit"],
        kernel=platform.release(),
        processors=len(os.sched_getaffinity(0)),
        memory_bytes=psutil.virtual_memory().total,
    )
    writer.write(hello)
    outpost = Outpost(writer, sandbox.scratch_folder(), sandbox.outside_network())
    pulse = (wire.HEARTBEAT_S, outpost.pulse)
    threading.Thread(target=outpost.listen, args=(stream,), daemon=True).start()
    threading.Thread(target=outpost.relay.run, args=pulse, daemon=True).start()
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
