"""A private Open vSwitch and a controller's process, for tests in a temporary folder."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from controllers.named import find_controller
from controllers.northbound import Northbound
from controllers.routes import FlowAction, Network

PROGRAMS = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl")
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
PREFIX = "ct-"  # of bridges, each of which has a device of its name in the root namespace
DEADLINE_S = 20.0


def wait_until(condition: Callable[[], bool], what: str) -> None:
    give_up_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < give_up_s, f"after {DEADLINE_S} s: {what}"
        time.sleep(0.01)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class PrivateSwitches:
    """Open vSwitch with userspace bridges; its sockets and database live in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ} | {
            name: str(folder) for name in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR")
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self.call("ovsdb-tool", "create", str(self.folder / "conf.db"), str(SCHEMA))
        database = self.folder / "db.sock"
        self._spawn("ovsdb-server", str(self.folder / "conf.db"), f"--remote=punix:{database}")
        wait_until(database.exists, "no database socket")
        self.call("ovs-vsctl", "--no-wait", "init")
        self._spawn("ovs-vswitchd", f"unix:{database}", "--pidfile")

    def stop(self) -> None:
        """End both processes; without the clean-up the bridges' tap devices would stay behind."""
        if (self.folder / "ovs-vswitchd.pid").exists():
            self.call("ovs-appctl", "--target=ovs-vswitchd", "exit", "--cleanup")
            self._processes.pop().wait(timeout=DEADLINE_S)
        for process in reversed(self._processes):
            end(process)

    def build(self, network: Network) -> None:
        """Make a bridge for each switch and each host, and patch ports for the links."""
        parts: list[str] = []
        for switch, dpid in network.switches.items():
            parts += [*self._bridge(switch), "fail_mode=secure"]
            parts += [f"other_config:datapath-id={dpid:016x}", "protocols=OpenFlow13"]
        for link in network.links:
            a, b = f"{link.a}-{link.a_port}", f"{link.b}-{link.b_port}"
            parts += self._patch(link.a, a, link.a_port, b)
            parts += self._patch(link.b, b, link.b_port, a)
        for name, host in network.hosts.items():
            port = f"{host.switch}-{host.port}"
            parts += self._bridge(name)
            parts += self._patch(host.switch, port, host.port, f"{name}-1")
            parts += self._patch(name, f"{name}-1", 1, port)
        self.call("ovs-vsctl", *parts)

    def connect(self, network: Network, port: int) -> None:
        """Have every switch connect to the controller at a TCP port of this machine."""
        parts: list[str] = []
        for switch in network.switches:
            parts += ["--", "set-controller", PREFIX + switch, f"tcp:127.0.0.1:{port}"]
        self.call("ovs-vsctl", *parts)

    def flows(self, switch: str) -> dict[str, FlowAction]:
        """Return the routes that a switch holds, as `flow_tables` would say them."""
        found = {}
        dump = self.call("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", PREFIX + switch)
        for line in dump.splitlines():
            if "nw_dst=" not in line:
                continue
            address = line.partition("nw_dst=")[2].split()[0]
            actions = line.partition("actions=")[2]
            mac = actions.partition("set_field:")[2].partition("->eth_dst")[0]
            port = actions.partition("output:")[2].strip('"')
            found[address] = FlowAction(int(port.rpartition("-")[2]), mac or None)
        return found

    def send(self, host: str, address: str, packets: int = 1) -> None:
        """Send UDP packets of 60 bytes, the Ethernet header included, from a host."""
        packet = (
            "020000000ffe 020000000f01 0800"
            "4500002e 00000000 4011 0000 0a000001"
            + bytes(map(int, address.split("."))).hex()
            + "00010002 001a 0000"
        )
        frame = packet.replace(" ", "").ljust(120, "0")
        for _ in range(packets):
            output = f"in_port=local packet={frame} actions=1"
            self.call("ovs-ofctl", "packet-out", PREFIX + host, output)

    def call(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def _bridge(self, name: str) -> list[str]:
        bridge = PREFIX + name
        return ["--", "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev"]

    def _patch(self, bridge: str, name: str, port: int, peer: str) -> list[str]:
        options = ["type=patch", f"options:peer={peer}", f"ofport_request={port}"]
        return ["--", "add-port", PREFIX + bridge, name, "--", "set", "interface", name, *options]

    def _spawn(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen([program, *arguments], env=self.environment, stderr=log)
            )


class RunningController:
    """A controller's process and a northbound connection to it."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.port = free_port()
        self.socket = folder / "northbound.sock"
        description = folder / "network.json"
        description.write_bytes(msgspec.json.encode(network))
        command = [*find_controller("shortest_path"), "--network", str(description)]
        command += ["--northbound", str(self.socket), "--port", str(self.port)]
        self.log = folder / "controller.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log)
        self.northbound = Northbound(self.socket)

    def stop(self) -> None:
        self.northbound.close()
        end(self.process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
