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
from typing import Any, NamedTuple

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.udp_probe import UdpProbe
from testbed.commands.output import print_table
from tests.emulation.sandboxed import run_in_sandbox

INTERVAL_S = 0.004
AT_ONCE = 10
ROUND_S = 2.0
MININET_SWITCHES = 25
LIMIT_S = 900


class Moved(NamedTuple):
    """A handover and its clocks, on the monotonic clock."""

    client: str
    old: str
    new: str
    due_s: float
    moved_s: float
    routed_s: float


def main() -> None:
    """Measure both ways, and print."""
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--access-points", type=int, default=357, help="(default: %(default)s)")
    made.add_argument("--clients", type=int, default=31, help="(default: %(default)s)")
    made.add_argument("--rounds", type=int, default=30, help="(default: %(default)s)")
    made.add_argument("--json", action="store_true", help="print rows as JSON")
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
    if given.json:
        print(json.dumps(rows, indent=2))
    else:
        show(rows)


OPTIONS = ("access-points", "clients", "rounds")


def testbed(access_points: int, clients: int, rounds: int) -> dict[str, Any]:
    """Hand clients over on the emulated network."""
    from testbed.emulation.capture import Capture, raw_captures
    from testbed.emulation.sandbox import scratch_folder
    from tests.emulation.small_network import small_network

    drawn, at, moves = random.Random(1), {}, []
    with small_network("tree", access_points, clients) as (network, northbound):
        stations = {
            name: (network.namespace(name), network.address(name)) for name in network.clients
        }

        def route(client: str, place: str, old: str | None) -> float:
            northbound.move(client, place)
            if old is not None:
                network.settle((place, old))
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
                    moves.append(Moved(client, at[client], place, due_s, moved_s, routed.result()))
                at[client] = place
                routed.result()

        raw = scratch_folder() / "raw"
        places = drawn.choices(network.access_points, k=clients)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            hand_over(dict(zip(network.clients, places, strict=True)), record=False)
            capture = Capture(raw, network.backhaul_ports(), scratch_folder())
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


def stray_packets(
    raws: Mapping[Path, Mapping[int, str]],
    folder: Path,
    moves: list[Moved],
    addresses: Mapping[str, str],
    offset_s: float,
) -> dict[str, float]:
    """Count packets to clients at their old place after the barrier, and at no place of theirs."""
    import ipaddress

    from testbed.analysis.pcap import INBOUND, Capture
    from testbed.analysis.pcapng import to_pcapng

    to_pcapng(raws, folder / "all.pcapng")
    clients = {int(ipaddress.IPv4Address(address)): name for name, address in addresses.items()}
    moved: dict[str, list[Moved]] = {}
    for each in moves:
        moved.setdefault(each.client, []).append(each)
    late_s, flooded, packets = [], 0, 0
    capture = Capture(folder / "all.pcapng")
    for batch in capture:
        names = capture.names()[batch.interface]
        rows = np.flatnonzero((batch.direction == INBOUND) & np.isin(batch.dst, list(clients)))
        packets += len(rows)
        for row in rows:
            its = moved.get(clients[int(batch.dst[row])], [])
            at_s = batch.time_ns[row] / 1e9 - offset_s
            before = [each for each in its if each.due_s <= at_s]
            if not before:
                continue
            last = before[-1]
            if names[row] == last.old:
                if at_s > last.routed_s:
                    late_s.append(at_s - last.routed_s)
            elif names[row] != last.new:
                flooded += 1
    return {
        "packets": packets,
        "late_at_old_place": len(late_s),
        "latest_at_old_place_ms": max(late_s, default=0.0) * 1e3,
        "elsewhere": flooded,
    }


def mininet(access_points: int, clients: int, rounds: int) -> dict[str, Any]:
    """Move one host among switches as Mininet's example does."""
    from mininet.link import Link
    from mininet.log import setLogLevel
    from mininet.net import Mininet
    from mininet.node import OVSSwitch

    from testbed.emulation.hosts import namespace_of
    from testbed.emulation.openvswitch import OpenVSwitch
    from testbed.emulation.sandbox import scratch_folder

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
                moves.append(Moved("h2", old.name, new.name, due_s, moved_s, time.monotonic()))
                old = new
            time.sleep(ROUND_S)
        return figures(moves, probe)


WAYS = {"testbed": testbed, "mininet": mininet}


def figures(moves: list[Moved], probe: UdpProbe) -> dict[str, Any]:
    """Return the interruptions and the clocks of handovers, in milliseconds."""
    gaps, firsts, unheard = [], [], 0
    for each in moves:
        found = probe.around(each.client, each.moved_s)
        if found is None:
            unheard += 1
            continue
        last_s, first_s = found
        gaps.append(first_s - last_s)
        firsts.append(first_s - each.due_s)
    lost = probe.sent - np.mean([len(its) for its in probe.arrivals.values()])
    clocks = {
        "interruption": gaps,
        "due_to_moved": [each.moved_s - each.due_s for each in moves],
        "due_to_routed": [each.routed_s - each.due_s for each in moves],
        "due_to_first": firsts,
    }
    return {
        "handovers": len(moves),
        "unheard": unheard,
        "lost_packets_a_client": float(lost),
        **{
            f"{name}_{what}_ms": float(np.percentile(values, share)) * 1e3 if values else None
            for name, values in clocks.items()
            for what, share in (("median", 50), ("p99", 99), ("max", 100))
        },
    }


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
