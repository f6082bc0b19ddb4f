"""Inside a sandbox beside two machines: a small network spread over them and this one.

    python -m tests.emulation.measure_machines
    python -m tests.emulation.measure_machines cut

The first prints as JSON what was seen of it; the other asks to be killed once it is up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from mininet.log import setLogLevel

from testbed.emulation.network.controller import Controller
from testbed.emulation.network.openvswitch import OpenVSwitch
from testbed.emulation.sandbox.sandbox import outside_network, scratch_folder
from testbed.emulation.spread.machines import HERE, parse_all
from testbed.emulation.spread.spread import Machines, SpreadNetwork
from testbed.settings.experiment import from_dict
from tests.emulation.beside_machines import KILL, MACHINES
from topologies.building import find_topology

ACCESS_POINTS = ("ap1", "ap2", "ap3", "ap4", "ap5", "ap6")
PINGS = 3


def main(cut: str = "") -> None:
    """Bring the network up and see who reaches whom."""
    setLogLevel("error")
    scratch = scratch_folder()
    folder = scratch / "run"
    folder.mkdir()
    log = folder / "log.txt"
    settings = from_dict({"name": "spread"})
    named = parse_all([HERE, *MACHINES])
    machines = Machines(named, ACCESS_POINTS, outside_network(), folder, log)
    with machines, OpenVSwitch(scratch / "ovs"):
        machines.connect()
        network = SpreadNetwork(find_topology("tree"), ACCESS_POINTS, ("c1",), settings, machines)
        network.start()
        with Controller("shortest_path", network, scratch, log) as controller:
            controller.wait_ready()
            if cut:
                print(KILL, flush=True)
                time.sleep(60)
            lost = {}
            for here in ("ap1", "ap2", "ap3", "ap2"):  # each on another machine
                network.air.associate("c1", here)
                controller.northbound.move("c1", here)
                lost |= {f"{here} {there}": lost_to(network, there) for there in ACCESS_POINTS}
        network.close()
    seen: dict[str, Any] = {"lost": lost, "log": log.read_text(), **machines.describe()}
    print(json.dumps(seen))


def lost_to(network: SpreadNetwork, there: str) -> int:
    """Return how many pings, as large as frames may be, are lost from the client to a server."""
    command = ["ping", "-q", "-c", str(PINGS), "-i", "0.05", "-W", "1", "-s", "1472", "-M", "do"]
    node = network.node("c1").popen(
        [*command, network.address(there)], stdout=subprocess.PIPE, text=True
    )
    said, _ = node.communicate(timeout=20)
    return PINGS - int(said.split(" received")[0].split()[-1])


if __name__ == "__main__":
    main(*sys.argv[1:])
