"""A small emulated network with its controller, for modules that run inside a sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mininet.log import setLogLevel

from controllers.northbound import Northbound
from testbed.emulation.network.controller import Controller
from testbed.emulation.network.network import EmulatedNetwork
from testbed.emulation.network.openvswitch import OpenVSwitch
from testbed.emulation.sandbox.sandbox import scratch_folder
from testbed.settings.experiment import from_dict
from topologies.building import find_topology


@contextmanager
def small_network(
    topology: str, access_points: int, clients: int, **settings: Any
) -> Iterator[tuple[EmulatedNetwork, Northbound]]:
    """Yield a started network of ap1.. and c1.., each client at ap1, with all routes."""
    setLogLevel("error")
    experiment = from_dict({"name": "small", **settings})
    scratch = scratch_folder()
    names = [f"ap{number}" for number in range(1, access_points + 1)]
    stations = [f"c{number}" for number in range(1, clients + 1)]
    with OpenVSwitch(scratch / "ovs"):
        network = EmulatedNetwork(find_topology(topology), names, stations, experiment)
        network.start()
        log = Path(scratch, "controller.log")
        with Controller(experiment.backhaul.controller, network, scratch, log) as controller:
            controller.wait_ready()
            for station in stations:
                network.air.associate(station, "ap1")
                controller.northbound.move(station, "ap1")
            yield network, controller.northbound
        network.close()
