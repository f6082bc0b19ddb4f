"""How long an emulated network takes to come up, beside the same nodes and links in plain Mininet.

    sudo .venv/bin/python benchmarks/bringup.py
    sudo .venv/bin/python benchmarks/bringup.py --sizes 25,50 --clients 8

At each number of access points both build the backhaul tree, a master, and clients and access
points with their radios, all links shaped. Plain Mininet is `Mininet(topo, link=TCLink)` with a
switch for the air and without a controller, from its constructor until `start()` returns. The
testbed's `network` is the same; `ready` is when, beyond that, a controller has installed all routes
and every client is associated.

Both run in a sandbox with an Open vSwitch of its own, one after the other. Plain Mininet takes
minutes at the full size (KAIST's 357 access points and 31 clients).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.reporting import parser, printed_as_json
from testbed.emulation.sandbox.sandbox import scratch_folder
from testbed.settings.experiment import Experiment
from testbed.terminal import print_table
from tests.emulation.sandboxed import run_in_sandbox
from topologies.building import find_topology

SIZES = "25,50,100,357"
CLIENTS = 31
LIMIT_S = 1800


def main() -> None:
    """Measure both at each size, and print."""
    made = parser(__doc__)
    made.add_argument("--sizes", default=SIZES, help="access points (default: %(default)s)")
    made.add_argument("--clients", type=int, default=CLIENTS, help="(default: %(default)s)")
    made.add_argument("--inside", choices=KINDS, help=argparse.SUPPRESS)
    given = made.parse_args()
    try:
        sizes = [int(size) for size in given.sizes.split(",")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 2 or given.clients < 1:
        made.error("expected sizes of at least 2, comma between, and at least 1 client")
    if given.inside:
        print(json.dumps(KINDS[given.inside](sizes[0], given.clients)))
        return
    rows = []
    for size in sizes:
        row: dict[str, Any] = {"access_points": size, "clients": given.clients}
        for kind in KINDS:
            sys.stderr.write(f"{size} access points, {given.clients} clients: {kind} ...\n")
            inside = ("--inside", kind, f"--sizes={size}", f"--clients={given.clients}")
            row |= run_in_sandbox("benchmarks.bringup", *inside, timeout_s=LIMIT_S)
        row["ratio"] = row["mininet_s"] / row["network_s"]
        rows.append(row)
    if printed_as_json(given, rows):
        return
    print_table(
        ("access points", "clients", "ready, s", "network, s", "plain Mininet, s", "ratio"),
        [
            (
                row["access_points"],
                row["clients"],
                f"{row['ready_s']:.1f}",
                f"{row['network_s']:.1f}",
                f"{row['mininet_s']:.1f}",
                f"{row['ratio']:.1f}",
            )
            for row in rows
        ],
    )


def testbed(access_points: int, clients: int) -> dict[str, float]:
    """Bring up the testbed's network, then routes and associations; return seconds."""
    from mininet.log import setLogLevel

    from testbed.emulation.network.controller import Controller
    from testbed.emulation.network.network import EmulatedNetwork
    from testbed.emulation.network.openvswitch import OpenVSwitch

    setLogLevel("error")  # clients have no link yet when Mininet looks for one
    settings = Experiment(name="bringup")
    places, stations = names(access_points, clients)
    scratch = scratch_folder()
    with OpenVSwitch(scratch / "ovs"):
        started_s = time.monotonic()
        network = EmulatedNetwork(find_topology("tree"), places, stations, settings)
        network.start()
        network_s = time.monotonic() - started_s
        log = scratch / "controller.log"
        with Controller(settings.backhaul.controller, network, scratch, log) as controller:
            controller.wait_ready()
            for number, station in enumerate(stations):
                place = places[number % len(places)]
                network.air.associate(station, place)
                controller.northbound.move(station, place)
            return {"network_s": network_s, "ready_s": time.monotonic() - started_s}


def mininet(access_points: int, clients: int) -> dict[str, float]:
    """Bring up the same nodes and links in plain Mininet; return seconds."""
    from mininet.link import TCLink
    from mininet.log import setLogLevel
    from mininet.net import Mininet
    from mininet.node import OVSSwitch

    from testbed.emulation.network.openvswitch import OpenVSwitch

    setLogLevel("critical")  # HTB warns of each quantum
    settings = Experiment(name="bringup")
    places, stations = names(access_points, clients)
    topo = find_topology("tree")(access_points=places)
    air = topo.addSwitch("s999")
    for place in places:
        topo.addLink(place, air)
    for station in stations:
        topo.addLink(topo.addHost(station), air, bw=settings.wireless.down_bps / 1e6)
    with OpenVSwitch(scratch_folder() / "ovs"):
        Mininet.inited = True  # as the testbed: its init() raises limits of the whole machine
        started_s = time.monotonic()
        switch = partial(OVSSwitch, datapath="user")
        Mininet(topo=topo, switch=switch, controller=None, link=TCLink, autoSetMacs=True).start()
        return {"mininet_s": time.monotonic() - started_s}


def names(access_points: int, clients: int) -> tuple[list[str], list[str]]:
    """Return the names of access points and clients."""
    return (
        [f"ap{number}" for number in range(1, access_points + 1)],
        [f"c{number}" for number in range(1, clients + 1)],
    )


KINDS = {"testbed": testbed, "mininet": mininet}


if __name__ == "__main__":
    main()
