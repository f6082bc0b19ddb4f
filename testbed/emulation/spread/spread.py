"""A run with access points on other machines: what is different for its network and its nursery.

Switches, air, clients and master are on the machine where the run was started. The namespace of an
access point that lives elsewhere is kept there, with its two interfaces at the same switch port and
BSS, but without addresses: it is the socket in the wall into which two tunnels are plugged.

    switch ---- ap12-eth0  [ns ap12]  tun0 == VXLAN == ap12-eth0  [ns ap12 there: edge server]
    bss-ap12 -- ap12-wlan0            tun1 == VXLAN == ap12-wlan0

So nothing else of the network knows of other machines: routes, rates, handovers and captures are as
ever.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from mininet.node import Node
from mininet.topo import Topo

from nodes.setup import ComputeMode, NodeSetup, Role
from testbed.clock import RunClock
from testbed.decision.policies import find_policy
from testbed.emulation.evidence.monitor import Readings
from testbed.emulation.network.air import netlink_of
from testbed.emulation.network.hosts import Host, namespace_of
from testbed.emulation.network.network import EmulatedNetwork, set_sysctl
from testbed.emulation.processes import Models, NurseryProcess
from testbed.emulation.spread.machines import HERE, Machine, place
from testbed.emulation.spread.remote import RemoteMachine
from testbed.emulation.spread.tunnels import Tunnel, join, open_tunnel, tunnel_number
from testbed.emulation.spread.wire import HostPart
from testbed.errors import EmulationError
from testbed.namespaces import inside_network, interface_index
from testbed.settings.experiment import Experiment

_log = logging.getLogger(__name__)

#: An execution pool as a node: on this machine, and on another.
POOL = "pool"
_POOL_ON = f"{POOL}@"


class Machines:
    """The other machines of a run, and which access points they have; a context manager.

    At its end what was recorded there is brought back. Then everything there ends, also what
    another thread still waits for.

    `HERE` is among the machines if this one takes access points. The access points are all of the
    run, neighbours together. `outside` is the network namespace that reaches the machines.
    """

    def __init__(
        self,
        machines: Iterable[Machine],
        access_points: Sequence[str],
        outside: Path,
        folder: Path,
        log: Path,
    ) -> None:
        self._named = tuple(machines)
        self._access_points = access_points
        self.outside = outside
        self._folder = folder
        self._log = log
        self._connected: dict[str, RemoteMachine] = {}
        self.placed: dict[str, str] = {}
        self._closing = ExitStack()
        self._left = False
        self._lock = Lock()

    def __enter__(self) -> Machines:
        return self

    def connect(self) -> None:
        """Connect to all machines, measure their clocks, and give each its access points.

        Raises EmulationError if one cannot be reached, or is of another version.
        """
        for each in self._named:
            with self._lock:
                if each.destination != HERE and not self._left:
                    remote = RemoteMachine(each, self.outside, self._folder, self._log)
                    self._connected[each.destination] = self._closing.enter_context(remote)
        shares = {each.destination: self._processors(each) for each in self._named}
        self.placed = place(self._access_points, shares)
        for remote in self._connected.values():
            remote.measure_clock()

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        lost: EmulationError | None = None
        with self._lock:
            self._left = True
        with self._closing:
            for remote in self._connected.values() if self.placed else ():
                try:
                    remote.bring_back()
                except EmulationError as failure:
                    _log.exception("records of %s are lost", remote.name)
                    lost = lost or failure
        if lost is not None and error is None:  # else the run has failed for another reason
            raise lost

    def of(self, node: str) -> RemoteMachine | None:
        """Return the machine of an access point, or of a pool, that is not on this one."""
        where = self.placed.get(node, node.removeprefix(_POOL_ON))
        return self._connected.get(where)

    def pools(self) -> tuple[str, ...]:
        """Return the names of the execution pools, one on each machine."""
        return (POOL, *(f"{_POOL_ON}{name}" for name in self._connected))

    def connected(self) -> tuple[RemoteMachine, ...]:
        """Return all other machines."""
        return tuple(self._connected.values())

    def watch(self, clock: RunClock) -> None:
        """Begin to watch all other machines, as the run's own monitor does this one."""
        for remote in self._connected.values():
            remote.watch(clock)

    def with_readings(self, here: Readings) -> Readings:
        """Return the readings of this machine together with those of all others."""
        all_of_them = [here]
        for remote in self._connected.values():
            try:
                all_of_them.append(remote.readings())
            except EmulationError:  # the run has failed, and says so elsewhere
                _log.exception("what %s read is lost", remote.name)
        return replace(
            here,
            run_queue_delay_s=[s for each in all_of_them for s in each.run_queue_delay_s],
            cpu_pressure_share=[s for each in all_of_them for s in each.cpu_pressure_share],
            cpu_busy_share=[s for each in all_of_them for s in each.cpu_busy_share],
            backlog_drops=sum(each.backlog_drops for each in all_of_them),
        )

    def describe(self) -> dict[str, Any]:
        """Return what a manifest tells of them; clocks as measured so far, in seconds."""
        described = []
        for name, remote in self._connected.items():
            if not remote.clocks:  # it could not be reached
                continue
            hello, first, last = remote.hello, remote.clocks[0], remote.clocks[-1]
            described.append(
                {
                    "machine": name,
                    "access_points": [ap for ap, where in self.placed.items() if where == name],
                    "kernel": hello.kernel,
                    "processors": hello.processors,
                    "memory_bytes": hello.memory_bytes,
                    "clock_offset_s": first.offset_s,
                    "clock_uncertainty_s": first.uncertainty_s,
                    "clock_drift_s": last.offset_s - first.offset_s,
                    "clock_drift_uncertainty_s": last.uncertainty_s + first.uncertainty_s,
                }
            )
        return {"machines": described}

    def _processors(self, machine: Machine) -> int:
        if machine.destination == HERE:
            return len(os.sched_getaffinity(0))
        return self._connected[machine.destination].hello.processors


class SpreadNetwork(EmulatedNetwork):
    """The network of a run, some of whose access points are elsewhere."""

    def __init__(
        self,
        topology: type[Topo],
        access_points: Sequence[str],
        clients: Sequence[str],
        settings: Experiment,
        machines: Machines,
    ) -> None:
        super().__init__(topology, access_points, clients, settings)
        self._machines = machines
        self._parts: dict[RemoteMachine, list[HostPart]] = {}
        self._run = secrets.randbits(24)

    def start(self) -> None:
        """Make what Mininet's objects stand for, here and there."""
        super().start()
        with ThreadPoolExecutor(len(self._parts) or 1, "make hosts") as threads:
            list(threads.map(RemoteMachine.make_hosts, self._parts, self._parts.values()))

    def _set_up_host(self, host: Node) -> None:
        machine = self._machines.of(host.name)
        if machine is None:
            super()._set_up_host(host)
            return
        network, netlink = namespace_of(host), netlink_of(host)
        self._netlink[host.name] = netlink
        with inside_network(network):
            set_sysctl()
        backhaul = host.defaultIntf()
        if not isinstance(host, Host):  # a topology's own kind has set its address already
            netlink.flush_addr(index=interface_index(network, backhaul.name))
        self.air.add_access_point(host, netlink, partial(machine.route, host.name))
        part = HostPart(
            name=host.name,
            address=host.IP(),
            mac=host.MAC(),
            backhaul=self._plug_in(machine, host, backhaul.name, 0),
            radio=self._plug_in(machine, host, f"{host.name}-wlan0", 1),
            uplink=self._shape(backhaul),
        )
        self._parts.setdefault(machine, []).append(part)

    def _plug_in(self, machine: RemoteMachine, host: Node, interface: str, which: int) -> Tunnel:
        """Join an interface to a tunnel; return the tunnel as the other end has to see it."""
        number = tunnel_number(self._run, 2 * self.access_points.index(host.name) + which)
        hello, network = machine.hello, namespace_of(host)
        here = Tunnel(number, hello.here, hello.there)
        open_tunnel(self._machines.outside, network, f"tun{which}", here)
        join(network, interface, f"tun{which}")
        return Tunnel(number, hello.there, hello.here)


class SpreadNursery(NurseryProcess):
    """Forks nodes here, and has those of other machines' access points forked there."""

    def __init__(self, log: Path, machines: Machines) -> None:
        super().__init__(log)
        self._machines = machines
        self._setup: NodeSetup | None = None
        self._preparing: list[Future[None]] = []

    def set_up(self, setup: NodeSetup) -> None:
        """Give the nurseries what all nodes share."""
        super().set_up(setup)
        self._setup = setup

    def build_models(self, mode: ComputeMode, clients: Iterable[str]) -> Models:
        """Begin to build all clients' models, on every machine whose servers read from them."""
        assert self._setup is not None
        policy = find_policy(self._setup.experiment.migration.policy)
        warm = self._setup.warm_start is not None
        build = mode == "memo" or policy.preloaded or policy.from_images or warm
        connected = self._machines.connected()
        threads = ThreadPoolExecutor(len(connected) or 1, "prepare")
        prepare = partial(RemoteMachine.prepare, setup=self._setup, mode=mode, build=build)
        self._preparing = [threads.submit(prepare, machine) for machine in connected]
        threads.shutdown(wait=False)
        return super().build_models(mode, clients)

    def prepared(self) -> None:
        """Wait until nodes can be forked on all machines."""
        for prepared in self._preparing:
            prepared.result()

    def fork(self, name: str, role: Role, mode: ComputeMode, network: Path) -> socket.socket:
        """Fork a node on its machine; return the experiment's end of its channel."""
        machine = self._machines.of(name)
        if machine is None:
            return super().fork(name, role, mode, network)
        return machine.launch(name, role, mode)
