"""What a client sees of a handover: how long nothing comes, and where packets go meanwhile.

    sudo .venv/bin/python benchmarks/handover.py
    sudo .venv/bin/python benchmarks/handover.py --access-points 50 --clients 8 --rounds 10

A server sends every client a small packet each 4 ms. In each round ten clients at once are handed
over to other access points, as at a step of a trace. Four clocks time a handover: when it is due,
when the link has moved, when the switches have confirmed the routes (barrier), and the first packet
at the new place. Captures at all access points' ports tell whether a packet for the client went to
the old place after the barrier, or to any other place at all.

Beside it, Mininet's way of moving a host (its examples/mobility.py): the switch's port is detached
and attached at another switch, and what the switches had learnt is flushed; here with 25 switches.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.handover_clocks import TimedHandover, figures, stray_packets
from benchmarks.reporting import parser, printed_as_json
from benchmarks.udp_probe import UdpProbe
from testbed.terminal import print_table
from tests.emulation.sandboxed import run_in_sandbox

INTERVAL_S = 0.004
AT_ONCE = 10
ROUND_S = 2.0
MININET_SWITCHES = 25
LIMIT_S = 900


def main() -> None:
    """Measure both ways, and print."""
    made = parser(__doc__)
    made.add_argument("--access-points", type=int, default=357, help="(default: %(default)s)")
    made.add_argument("--clients", type=int, default=31, help="(default: %(default)s)")
    made.add_argument("--rounds", type=int, default=30, help="(default: %(default)s)")
    made.add_argument("--inside", choices=WAYS, help=argparse.SUPPRESS)
    given = made.parse_args()
    if given.inside:
        print(json.dumps(WAYS[given.inside](given.access_points, given.clients, given.rounds)))
        return
    options = [f"--{name}={getattr(given, name.replace('-', '_'))}" for name in OPTIONS]
    rows = []
    for way in WAYS:
        sys.stderr.write(f"{way} ...\n")
        inside = ("--inside", way, *options)
        rows.append(
            {"way": way} | run_in_sandbox("benchmarks.handover", *inside, timeout_s=LIMIT_S)
        )
    if not printed_as_json(given, rows):
        show(rows)


OPTIONS = ("access-points", "clients", "rounds")


def testbed(access_points: int, clients: int, rounds: int) -> dict[str, Any]:
    """Hand clients over on the emulated network."""
    from testbed.emulation.evidence.packet_capture import PacketCapture, raw_captures
    from testbed.emulation.sandbox.sandbox import scratch_folder
    from tests.emulation.small_network import small_network

    drawn, moves = random.Random(1), list[TimedHandover]()
    at: dict[str, str] = {}
    with small_network("tree", access_points, clients) as (network, northbound):
        stations = {
            name: (network.namespace(name), network.address(name)) for name in network.clients
        }

        def route(client: str, place: str, old: str | None) -> float:
            northbound.move(client, place)
            if old is not None:
                network.forget_cached_flows((place, old))
            return time.monotonic()

        def hand_over(names: Mapping[str, str], record: bool) -> None:
            due_s, confirmed = time.monotonic(), []
            for client, place in names.items():
                network.air.associate(client, place)
                confirmed.append(
                    (
                        client,
                        place,
                        time.monotonic(),
                        pool.submit(route, client, place, at.get(client)),
                    )
                )
            for client, place, moved_s, routed in confirmed:
                if record:
                    moves.append(
                        TimedHandover(client, at[client], place, due_s, moved_s, routed.result())
                    )
                at[client] = place
                routed.result()

        raw = scratch_folder() / "raw"
        places = drawn.choices(network.access_points, k=clients)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            hand_over(dict(zip(network.clients, places, strict=True)), record=False)
            capture = PacketCapture(raw, network.backhaul_ports(), scratch_folder())
            with capture, UdpProbe(network.namespace("master"), stations, INTERVAL_S) as probe:
                for _ in range(rounds):
                    time.sleep(ROUND_S)
                    chosen = drawn.sample(network.clients, min(AT_ONCE, clients))
                    hand_over({c: other(drawn, network.access_points, at[c]) for c in chosen}, True)
                time.sleep(ROUND_S)
        offset_s = time.time() - time.monotonic()
        addresses = {name: address for name, (_, address) in stations.items()}
        strays = stray_packets(raw_captures(raw), scratch_folder(), moves, addresses, offset_s)
    return figures(moves, probe) | strays


def other(drawn: random.Random, places: tuple[str, ...], now: str) -> str:
    """Return another place than this one."""
    return drawn.choice([place for place in places if place != now])


def mininet(access_points: int, clients: int, rounds: int) -> dict[str, Any]:
    """Move one host among switches as Mininet's example does."""
    from mininet.link import Link
    from mininet.log import setLogLevel
    from mininet.net import Mininet
    from mininet.node import OVSSwitch

    from testbed.emulation.network.hosts import namespace_of
    from testbed.emulation.network.openvswitch import OpenVSwitch
    from testbed.emulation.sandbox.sandbox import scratch_folder

    setLogLevel("critical")
    drawn, moves = random.Random(1), []
    with OpenVSwitch(scratch_folder() / "ovs"):
        Mininet.inited = True  # its init() raises limits of the whole machine
        switch = partial(OVSSwitch, datapath="user", failMode="standalone")
        net = Mininet(switch=switch, controller=None, link=Link, autoSetMacs=True)
        core = net.addSwitch("s1000")
        places = [net.addSwitch(f"s{number}") for number in range(1, MININET_SWITCHES + 1)]
        for place in places:
            net.addLink(place, core)
        server, mobile = net.addHost("h1", ip="10.0.0.1/8"), net.addHost("h2", ip="10.0.0.2/8")
        net.addLink(server, core)
        net.addLink(mobile, places[0])
        net.start()
        for host, peer in ((server, mobile), (mobile, server)):
            host.cmd(f"ethtool -K {host.defaultIntf()} tx off")  # else the datapath drops UDP
            host.setARP(peer.IP(), peer.MAC())
        net.ping([server, mobile], timeout="5")
        old = places[0]
        stations = {"h2": (namespace_of(mobile), mobile.IP())}
        with UdpProbe(namespace_of(server), stations, INTERVAL_S) as probe:
            for _ in range(rounds):
                time.sleep(ROUND_S)
                new = drawn.choice([place for place in places if place is not old])
                due_s = time.monotonic()
                _, port = mobile.connectionsTo(old)[0]
                old.detach(port)
                old.delIntf(port)
                port.node = new
                new.addIntf(port)
                new.attach(port)
                moved_s = time.monotonic()
                for each in net.switches:
                    subprocess.run(
                        ["ovs-appctl", "fdb/flush", each.name],
                        check=True,
                        stdout=subprocess.DEVNULL,
                    )
                moves.append(
                    TimedHandover("h2", old.name, new.name, due_s, moved_s, time.monotonic())
                )
                old = new
            time.sleep(ROUND_S)
        return figures(moves, probe)


WAYS = {"testbed": testbed, "mininet": mininet}


def show(rows: list[dict[str, Any]]) -> None:
    """Print what was measured."""
    columns = ("interruption", "due_to_moved", "due_to_routed", "due_to_first")
    print_table(
        (
            "way",
            "handovers",
            *(f"{name.replace('_', ' ')}: median, p99, max, ms" for name in columns),
        ),
        [
            (
                row["way"],
                row["handovers"],
                *(
                    ", ".join(
                        f"{row[f'{name}_{what}_ms']:.1f}" for what in ("median", "p99", "max")
                    )
                    for name in columns
                ),
            )
            for row in rows
        ],
    )
    testbed = rows[0]
    print_table(
        ("",),
        [
            (
                f"{testbed['packets']} packets reached clients' access points:"
                f" {testbed['late_at_old_place']} at the old one after the barrier (up to"
                f" {testbed['latest_at_old_place_ms']:.1f} ms),"
                f" {testbed['elsewhere']} at others",
            )
        ],
    )


if __name__ == "__main__":
    main()
