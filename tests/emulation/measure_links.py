"""Inside a sandbox: iperf3 over a client's link, both ways, at each of several access points.

A reading that falls short is taken again, five times at most: another load on the machine can keep
iperf3 from filling a link for a moment, while a wrong rate reads wrong each time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from testbed.emulation.network.network import EmulatedNetwork
from testbed.emulation.sandbox.waiting import wait_until
from testbed.settings.experiment import Wireless
from testbed.settings.units import TCP_GOODPUT_SHARE
from tests.emulation.small_network import small_network

SECONDS = "2"
WARM_UP = "0.5"  # slow start; not part of the reading
READINGS = 6
SHORTFALL = 0.03


def main(handovers: str) -> None:
    """Print goodputs in bit/s, "up" and "down" before and after each handover."""
    readings: dict[str, Any] = {"up": [], "down": []}
    wireless = Wireless()
    with small_network("tree", access_points=4, clients=2) as (network, northbound):
        for number in range(int(handovers) + 1):
            access_point = f"ap{1 + number % 4}"
            network.air.associate("c1", access_point)
            northbound.move("c1", access_point)
            link = (network, "c1", access_point)
            readings["up"].append(settled_bps(wireless.up_bps, *link))
            readings["down"].append(settled_bps(wireless.down_bps, *link, "--reverse"))
        # c2 has stayed at ap1 all the while, and reaches a server elsewhere over the backhaul
        readings["across"] = settled_bps(wireless.up_bps, network, "c2", "ap4")
        readings["backhaul"] = goodput_bps(network, "ap1", "ap4")
    print(json.dumps(readings))


def settled_bps(
    rate_bps: float, network: EmulatedNetwork, client: str, server: str, *options: str
) -> float:
    """Return a reading, the last of at most three where they fall short of a link's rate."""
    for _ in range(READINGS):
        reading_bps = goodput_bps(network, client, server, *options)
        if reading_bps >= (1 - SHORTFALL) * rate_bps * TCP_GOODPUT_SHARE:
            break
    return reading_bps


def goodput_bps(
    network: EmulatedNetwork, client: str, server: str, *options: str, port: int = 5201
) -> float:
    """Return iperf3's TCP goodput between two nodes, at the receiver."""
    address = network.address(server)
    listening = network.node(server).popen(
        ["iperf3", "--server", "--one-off", "--bind", address, f"--port={port}", "--forceflush"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_until(lambda: "listening" in listening.stdout.readline(), "iperf3 to listen", 10)
    command = [
        "iperf3",
        "--client",
        address,
        f"--port={port}",
        "--time",
        SECONDS,
        "--omit",
        WARM_UP,
        "--json",
    ]
    run = network.node(client).popen(
        [*command, "--congestion", "cubic", *options], stdout=subprocess.PIPE, text=True
    )
    report, _ = run.communicate(timeout=30)
    listening.communicate(timeout=30)
    return float(json.loads(report)["end"]["sum_received"]["bits_per_second"])


if __name__ == "__main__":
    main(*sys.argv[1:])
