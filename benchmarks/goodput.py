"""What migrations carry, beside iperf3 on the same path.

    sudo .venv/bin/python benchmarks/goodput.py
    sudo .venv/bin/python benchmarks/goodput.py --at-once 8 --model mobilenet

Real edge servers send clients' layers to each other over the emulated backhaul: first one model
from one server to another, then as many at once as are asked for, all from one server and so
through one uplink, to a server each. Before and after each, iperf3 sends over the same link.
Goodputs count bytes of layers over the time from the order's start to the last layer's
confirmation; Jain's index says how equally the migrations share the uplink (1: equally).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.reporting import parser, printed_as_json
from nodes.control import Preload, Start
from nodes.setup import NodeSetup
from nodes.transport.connection import Connection, serve
from testbed.clock import RunClock
from testbed.emulation.network.network import EmulatedNetwork
from testbed.namespaces import inside_network
from testbed.protocol.messages import PORTS, EdgeHello, Migrate
from testbed.settings.experiment import Backhaul, from_dict
from testbed.terminal import print_table
from testbed.values import MASTER, AccessPoint
from tests.emulation.sandboxed import run_in_sandbox

LIMIT_S = 900
ROUNDS = 3
HELD_S = 6.0  # layers of one migration by who gets them, which takes a second
SOURCE = "ap1"


def main() -> None:
    """Measure and print."""
    made = parser(__doc__)
    made.add_argument("--at-once", type=int, default=20, help="migrations (default: %(default)s)")
    made.add_argument("--model", default="inception", help="(default: %(default)s)")
    made.add_argument(
        "--queue-bytes",
        type=int,
        default=Backhaul().queue_bytes,
        help="limit of each link's queue (default: %(default)s)",
    )
    made.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = made.parse_args()
    if given.inside:
        print(json.dumps(measure(given.at_once, given.model, given.queue_bytes)))
        return
    inside = (
        "--inside",
        f"--at-once={given.at_once}",
        f"--model={given.model}",
        f"--queue-bytes={given.queue_bytes}",
    )
    found = run_in_sandbox("benchmarks.goodput", *inside, timeout_s=LIMIT_S)
    if printed_as_json(given, found):
        return
    print_table(
        ("what", "Mbit/s", "of iperf3", "Jain's index"),
        [
            ("iperf3, one flow", f"{found['iperf3_bps'] / 1e6:.1f}", "", ""),
            (
                "one migration",
                f"{found['one_bps'] / 1e6:.1f}",
                f"{found['one_bps'] / found['iperf3_bps']:.1%}",
                "",
            ),
            (
                f"{given.at_once} migrations",
                f"{found['many_bps'] / 1e6:.1f}",
                f"{found['many_bps'] / found['iperf3_bps']:.1%}",
                f"{found['jain']:.4f}",
            ),
        ],
    )


def measure(at_once: int, model: str, queue_bytes: int) -> dict[str, Any]:
    """Return goodputs in bit/s, medians of some rounds, and Jain's index."""
    from tests.emulation.small_network import small_network

    with small_network("tree", at_once + 1, at_once, backhaul={"queue_bytes": queue_bytes}) as (
        network,
        _,
    ):
        return asyncio.run(migrations(network, model))


async def migrations(network: EmulatedNetwork, model: str) -> dict[str, Any]:
    """Have servers send layers over a network; `measure` says what is returned."""
    from testbed.emulation.processes import Nodes, NurseryProcess
    from testbed.emulation.sandbox.sandbox import scratch_folder
    from tests.emulation.measure_links import goodput_bps

    scratch = scratch_folder()
    setup = setup_of(network, scratch, model)
    master = StandIn()
    with inside_network(network.namespace(MASTER)):
        server = await serve(setup.addresses[MASTER], PORTS["control"], master.hear)
    nursery = NurseryProcess(scratch / "nursery.log")
    nursery.set_up(setup)
    await nursery.build_models("profile", network.clients).built()
    done: asyncio.Queue[Any] = asyncio.Queue()
    nodes = Nodes(nursery, "profile", done.put_nowait)
    await nodes.start("edge", {name: network.namespace(name) for name in network.access_points})
    await nodes.ready_again([SOURCE], Preload())
    clock = RunClock(time.monotonic())
    nodes.tell_all(Start(clock.origin_s, 1.0))

    async def migrate(clients: Sequence[str], held_s: float) -> list[dict[str, Any]]:
        """Have clients' layers sent, each to a server of its own; return the records."""
        for client in clients:
            destination = f"ap{network.clients.index(client) + 2}"
            order = Migrate(
                client=client,
                destination=destination,
                address=setup.addresses[destination],
                layers=setup.weights(client),
                ends_s=1e6,
                until_s=clock.now_s() + held_s,
            )
            await master.servers[SOURCE].send(order)
        for _ in clients:
            await done.get()
        return records(setup, SOURCE)[-len(clients) :]

    iperf3, one = [], []
    for _ in range(ROUNDS):
        iperf3.append(await asyncio.to_thread(goodput_bps, network, SOURCE, "ap2"))
        one += goodputs(await migrate(network.clients[:1], HELD_S))
        await clock.sleep_until(clock.now_s() + HELD_S)  # what it got is discarded
    many = await migrate(network.clients, 1e6)
    iperf3.append(await asyncio.to_thread(goodput_bps, network, SOURCE, "ap2"))
    await nodes.stop("edge")
    nodes.close()
    nursery.close()
    server.close()
    each = np.array(goodputs(many))
    started_s, ended_s = min(r["started_s"] for r in many), max(r["ended_s"] for r in many)
    return {
        "iperf3_bps": float(np.median(iperf3)),
        "one_bps": float(np.median(one)),
        "many_bps": sum(r["bytes"] for r in many) * 8 / (ended_s - started_s),
        "jain": float(each.sum() ** 2 / (len(each) * (each**2).sum())),
        "iperf3_all_bps": iperf3,
        "one_all_bps": one,
        "many_each_bps": each.tolist(),
    }


class StandIn:
    """In the master's place: knows the servers' connections, and gives orders."""

    def __init__(self) -> None:
        self.servers: dict[str, Connection] = {}

    async def hear(self, connection: Connection) -> None:
        """Keep a server's connection until it ends it."""
        received = await connection.receive()
        assert received is not None and isinstance(received[0], EdgeHello)
        self.servers[received[0].server] = connection
        while await connection.receive() is not None:
            pass


def setup_of(network: EmulatedNetwork, scratch: Path, model: str) -> NodeSetup:
    """Return what the nodes know from the start."""
    (scratch / "run").mkdir()
    return NodeSetup(
        experiment=from_dict(
            {"name": "goodput", "model": {"name": model}, "traces": {"interval_s": 30.0}}
        ),
        run_folder=str(scratch / "run"),
        scratch=str(scratch),
        access_points=tuple(AccessPoint(name, 0.0, 0.0) for name in network.access_points),
        addresses={name: network.address(name) for name in (*network.access_points, MASTER)},
        clients=network.clients,
        warm_start=None,
        image_rest=None,
        images_stay=False,
        trajectories=dict.fromkeys(network.clients, ()),
    )


def records(setup: NodeSetup, server: str) -> list[dict[str, Any]]:
    """Return the transfers that a server has recorded so far."""
    file = Path(setup.run_folder, "records", f"transfers.{server}.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def goodputs(transfers: Sequence[dict[str, Any]]) -> list[float]:
    """Return bits of layers a second of each transfer, all of which have sent everything."""
    assert all(each["complete"] and not each["skipped_bytes"] for each in transfers), transfers
    return [8 * each["bytes"] / (each["ended_s"] - each["started_s"]) for each in transfers]


if __name__ == "__main__":
    main()
