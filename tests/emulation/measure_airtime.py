"""Inside a sandbox: iperf3 of two clients at one access point, alone and both at once."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from testbed.emulation.network.network import EmulatedNetwork
from tests.emulation.measure_links import goodput_bps
from tests.emulation.small_network import small_network

CLIENTS = ("c1", "c2")
PORTS = (5201, 5202)


def main(airtime: str) -> None:
    """Print goodputs in bit/s by direction: of c1 alone, and of both together."""
    readings: dict[str, Any] = {}
    with small_network("tree", 2, len(CLIENTS), wireless={"airtime": airtime}) as (network, _):
        for direction, options in (("up", ()), ("down", ("--reverse",))):
            readings[direction] = {
                "alone": goodput_bps(network, "c1", "ap1", *options),
                "together": together(network, *options),
            }
    print(json.dumps(readings))


def together(network: EmulatedNetwork, *options: str) -> list[float]:
    """Return the goodput of each client while the other sends too."""
    with ThreadPoolExecutor(len(CLIENTS)) as threads:
        running = [
            threads.submit(goodput_bps, network, client, "ap1", *options, port=port)
            for client, port in zip(CLIENTS, PORTS, strict=True)
        ]
        return [each.result() for each in running]


if __name__ == "__main__":
    main(*sys.argv[1:])
