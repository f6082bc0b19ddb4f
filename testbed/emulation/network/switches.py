"""The backhaul's switches: Mininet's, shared out among several Open vSwitches.

The userspace datapath looks at all of its ports whenever a packet comes to one of them, and takes
fresh buffers for each. With 400 ports in one process that is two milliseconds of a core each time:
more than all edge servers' processes together when the backhaul is busy. So a process has few
ports, and a switch stays whole in one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import Popen
from typing import Any

from mininet.node import Controller, OVSSwitch
from pyroute2 import IPRoute

from testbed.emulation.network.addresses import CONTROLLER_ADDRESS, control_address
from testbed.emulation.network.hosts import LazyNode
from testbed.emulation.network.openvswitch import OpenVSwitch
from testbed.namespaces import inside_network, new_network

_LOOPBACK = 1  # its index in every namespace
_MAX_PORTS = 24
_AT_ONCE = 4  # Open vSwitches that are being started


class Switch(LazyNode, OVSSwitch):
    """A switch of Open vSwitch's userspace datapath, started together with others."""

    openvswitch: OpenVSwitch | None = None
    commands: list[str]

    def __init__(self, name: str, **params: Any) -> None:
        settings = {"datapath": "user", "protocols": "OpenFlow13", "failMode": "secure"}
        super().__init__(name, **settings | {"batch": True} | params)
        self._wanted = True

    def startShell(self, mnopts: str | None = None) -> None:  # noqa: N802
        """Called by Mininet, which then would set `lo` up: where this switch will not be."""

    def dpctl(self, *args: str) -> str:
        """Run `ovs-ofctl COMMAND SWITCH ARGUMENTS`; Mininet's command line has it as `dpctl`."""
        command, *rest = args
        return self.cmd("ovs-ofctl", "--protocols=OpenFlow13", command, self.name, *rest)

    @property
    def port_names(self) -> list[str]:
        """Names of its interfaces."""
        return [interface.name for interface in self.intfList() if interface.name != "lo"]

    def arguments(self, controllers: Iterable[Controller]) -> list[str]:
        """Return the arguments of `ovs-vsctl` that make this switch with its ports."""
        self.start(controllers)  # only notes the command
        words = [word for command in self.commands for word in shlex.split(command)]
        self.commands, self.batch = [], False
        # By default Open vSwitch deletes the queueing disciplines of the ports it takes in
        for port in self.port_names:
            noop = f"@noop-{port}"
            words += ["--", f"--id={noop}", "create", "qos", "type=linux-noop"]
            words += ["--", "set", "port", port, f"qos={noop}"]
        return words

    def _popen(self, cmd: list[str], **params: Any) -> Popen[bytes]:
        if self.openvswitch is not None:  # its shell's commands speak to the right one
            params["env"] = os.environ | self.openvswitch.environment
        return super()._popen(cmd, **params)


class OpenVSwitches:
    """The Open vSwitches of a network's switches, each in a network namespace with its ports.

    Two cannot share one: each needs a tap of the same name (`ovs-netdev`). They reach the
    controller over a control network, out of band: a veth pair each, whose other end is here.
    """

    def __init__(self, folder: Path, switches: Iterable[Switch]) -> None:
        self._folder = folder
        self._groups = grouped(switches)
        self._running: list[OpenVSwitch] = []
        with IPRoute() as here:
            here.addr("add", index=_LOOPBACK, address=CONTROLLER_ADDRESS, prefixlen=32)
            for number, group in enumerate(self._groups):
                namespace = new_network(folder / f"{number}.netns")
                _join_control_network(here, namespace, number)
                for switch in group:
                    switch.namespace = namespace

    def start(self, controllers: Iterable[Controller]) -> None:
        """Start the switches; return when all have their ports."""
        controllers = list(controllers)
        starts = []
        for number, group in enumerate(self._groups):
            openvswitch = OpenVSwitch(self._folder / str(number), group[0].namespace)
            self._running.append(openvswitch)
            first: list[str] = []
            for switch in group:
                switch.openvswitch = openvswitch
                first += switch.arguments(controllers)
            starts.append((openvswitch, first, group[0]))
        with ThreadPoolExecutor(_AT_ONCE, "ovs") as threads:
            list(threads.map(lambda each: _start(*each), starts))

    def close(self) -> None:
        """End them all."""
        for openvswitch in self._running:
            openvswitch.terminate()
        for openvswitch in self._running:
            openvswitch.stop()
        self._running.clear()


def grouped(switches: Iterable[Switch]) -> list[list[Switch]]:
    """Share switches out in their order; a group has few ports, but at least one switch."""
    groups: list[list[Switch]] = []
    ports = _MAX_PORTS
    for switch in switches:
        if ports + len(switch.port_names) > _MAX_PORTS:
            groups.append([])
            ports = 0
        groups[-1].append(switch)
        ports += len(switch.port_names)
    return groups


def _start(openvswitch: OpenVSwitch, first: list[str], switch: Switch) -> None:
    """Start an Open vSwitch with its switches; `switch` is any of them."""
    openvswitch.start(first)
    if ports := [number for port, number in switch.ports.items() if port.name != "lo"]:
        openvswitch.make_room(switch.name, ports[0])


def _join_control_network(here: IPRoute, namespace: Path, number: int) -> None:
    """Make the link on which the Open vSwitch of this number reaches the controller."""
    name, address = f"control{number}", control_address(number)
    peer = {"ifname": "control", "net_ns_fd": str(namespace)}
    here.link("add", ifname=name, kind="veth", peer=peer, state="up")
    index = here.link_lookup(ifname=name)[0]
    here.route("add", dst=f"{address}/32", oif=index, scope="link")
    with inside_network(namespace), IPRoute() as there:
        there.link("set", index=_LOOPBACK, state="up")
        index = there.link_lookup(ifname="control")[0]
        there.link("set", index=index, state="up")
        there.addr("add", index=index, address=address, prefixlen=32)
        there.route("add", dst=f"{CONTROLLER_ADDRESS}/32", oif=index, scope="link")
