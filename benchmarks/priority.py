"""What it does to queries that migrations give way to them on the backhaul.

    sudo .venv/bin/python benchmarks/priority.py
    sudo .venv/bin/python benchmarks/priority.py --rate 1Gbps --queries 500

A client at one access point queries the edge server of another, as with the policy `routing`, while
that server migrates layers of several clients over the same link without end. Query times are
measured on an idle link, then with migrations in the same class as all else, and with migrations in
a lower one (`backhaul.migration_class=lower`), each in a network of its own.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.reporting import parser, printed_as_json
from nodes.transport.connection import CONGESTION_CONTROL
from testbed.protocol.messages import PORTS
from testbed.settings.units import parse_rate
from testbed.terminal import print_table
from tests.emulation.sandboxed import run_in_sandbox

OPTIONS = ("rate", "queries", "at-once")
KINDS = ("none", "same", "lower")
LIMIT_S = 300
QUESTION_BYTES, ANSWER_BYTES = 100_000, 20_000  # tensors up, and down
SETTLE_S = 2.0  # until the migration fills its queue
PIECE = bytes(1 << 20)
SERVER, AWAY, CLIENT = "ap2", "ap1", "c1"


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rate", default="100Mbps", help="of backhaul links (default: %(default)s)")
    made.add_argument("--at-once", type=int, default=8, help="migrations (default: %(default)s)")
    made.add_argument("--queries", type=int, default=200, help="of each kind (default: 200)")
    made.add_argument("--inside", choices=KINDS, help=argparse.SUPPRESS)
    given = made.parse_args()
    if given.inside:
        at_once = 0 if given.inside == "none" else given.at_once
        print(json.dumps(measure(given.inside, parse_rate(given.rate), given.queries, at_once)))
        return
    options = tuple(f"--{o}={getattr(given, o.replace('-', '_'))}" for o in OPTIONS)
    rows = [
        run_in_sandbox("benchmarks.priority", f"--inside={kind}", *options, timeout_s=LIMIT_S)
        for kind in KINDS
    ]
    if printed_as_json(given, rows):
        return
    print_table(
        ("migrations", "query time, median, ms", "95th percentile, ms", "migrated, Mbit/s"),
        [(r["migrations"], r["median_s"] * 1e3, r["p95_s"] * 1e3, r["mbps"]) for r in rows],
        title=f"{given.queries} queries each, links of {given.rate}",
    )


def measure(kind: str, rate_bps: float, queries: int, at_once: int) -> dict[str, Any]:
    """Return a row: without migrations, with some in the same class, or in a lower one."""
    from tests.emulation.small_network import small_network

    backhaul = {"link_bps": rate_bps, "migration_class": "same" if kind == "none" else kind}
    with small_network("tree", 2, 1, backhaul=backhaul) as (network, _):
        return {"migrations": kind, **_measure(network, queries, at_once)}


def _measure(network: Any, queries: int, at_once: int) -> dict[str, float]:
    with ExitStack() as stack:
        asking = _connected(network, stack, CLIENT, SERVER, PORTS["query"], _answer)
        sent = [0]
        for _ in range(at_once):
            sender = _connected(network, stack, SERVER, AWAY, PORTS["migration"], _swallow)
            threading.Thread(target=_send_on, args=(sender, sent), daemon=True).start()
        time.sleep(SETTLE_S)
        begun_s, before = time.monotonic(), sent[0]
        took_s = [_ask(asking) for _ in range(queries)]
        rate = (sent[0] - before) * 8 / (time.monotonic() - begun_s)
    return {
        "median_s": float(np.median(took_s)),
        "p95_s": float(np.quantile(took_s, 0.95)),
        "mbps": rate / 1e6,
    }


def _connected(
    network: Any,
    stack: ExitStack,
    source: str,
    destination: str,
    port: int,
    serve: Callable[[socket.socket], None],
) -> socket.socket:
    """Return a connection between two nodes, at whose far end `serve` runs in a thread."""
    from testbed.namespaces import inside_network

    with inside_network(network.namespace(destination)):
        listener = socket.create_server(("", port), reuse_port=True)
    with inside_network(network.namespace(source)):
        near = stack.enter_context(socket.socket())
    for end in (listener, near):  # what is accepted takes after its listener
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION_CONTROL.encode())
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    near.connect((network.address(destination), port))
    far, _ = listener.accept()
    listener.close()
    stack.enter_context(far)
    threading.Thread(target=serve, args=(far,), daemon=True).start()
    return near


def _answer(connection: socket.socket) -> None:
    try:
        while _receive(connection, QUESTION_BYTES):
            connection.sendall(bytes(ANSWER_BYTES))
    except OSError:
        return  # the measurement is over


def _swallow(connection: socket.socket) -> None:
    try:
        while connection.recv(1 << 20):
            pass
    except OSError:
        return


def _send_on(connection: socket.socket, sent: list[int]) -> None:
    try:
        while True:
            connection.sendall(PIECE)
            sent[0] += len(PIECE)
    except OSError:
        return


def _ask(connection: socket.socket) -> float:
    begun_s = time.monotonic()
    connection.sendall(bytes(QUESTION_BYTES))
    assert _receive(connection, ANSWER_BYTES), "the server has gone"
    return time.monotonic() - begun_s


def _receive(connection: socket.socket, count: int) -> bool:
    while count:
        got = len(connection.recv(min(count, 1 << 20)))
        if not got:
            return False
        count -= got
    return True


if __name__ == "__main__":
    main()
