"""What the paper's shortest path loses against the best plan (section III.C.2, Fig. 5).

    python experiments/fig5_partitioning.py

The shortest path takes a model's layers as a line, on which changing sides carries over every
tensor that is needed later. Models with branches can do better: a minimum cut finds the best
assignment of all. The table compares both where the server is idle, as in the paper, and where it
is crowded or the network is fast, which makes partial offloading worth while.
"""

import argparse
from collections.abc import Iterator
from itertools import product
from typing import Any

import _venv  # noqa: F401  continues under the project's interpreter; must come first
import paper

from testbed.commands.output import add_json, print_json, print_table
from testbed.config import parse_value
from testbed.dnn.devices import device_profile
from testbed.dnn.partition import Costs, shortest_path
from testbed.dnn.partitioner import best_plan
from testbed.dnn.published import published_graph
from testbed.errors import EXIT_COMPLETE, ConfigurationError
from testbed.exits import exit_with
from testbed.options import Parser


def rows(
    loads: list[float], rates_mbps: list[float], client: str, server: str
) -> Iterator[dict[str, Any]]:
    """Yield both plans' figures for each model, load and uplink rate (downlink: 50/35 of it)."""
    for model, rate_mbps, load in product(paper.MODELS, rates_mbps, loads):
        graph = published_graph(model)
        client_s = device_profile(client).layer_times(graph)
        server_s = device_profile(server).layer_times(graph) * load
        costs = Costs(client_s, server_s, rate_mbps * 1e6, rate_mbps * 50 / 35 * 1e6)
        path, cut = shortest_path(graph, costs), best_plan(graph, costs)
        yield {
            "model": model,
            "up_mbps": rate_mbps,
            "server_load": load,
            "local_s": cut.local_latency_s,
            "shortest_path_s": path.latency_s,
            "minimum_cut_s": cut.latency_s,
            "path_loses_share": path.latency_s / cut.latency_s - 1,
            "path_server_layers": len(path.server_layers),
            "cut_server_layers": len(cut.server_layers),
            "cut_segments": len(cut.segments()),
        }


def numbers(option: str, text: str) -> list[float]:
    """Return the numbers of a list such as 1,10,100, all above 0."""
    found = [parse_value(part) for part in text.split(",")]
    values = [float(each) for each in found if isinstance(each, int | float)]
    if len(values) != len(found) or not all(0 < value < 1e12 for value in values):
        raise ConfigurationError(f"{option} {text}: write numbers above 0, for example 1,10,100")
    return values


def main() -> int:
    """Print the table."""
    parser = Parser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    text = "how many times slower than idle the server is (default: %(default)s)"
    parser.add_argument("--loads", default="1,10,60,150", metavar="F,F,..", help=text)
    text = "uplink rates in Mbit/s (default: %(default)s)"
    parser.add_argument("--up-mbps", default="35,350,1000", metavar="R,R,..", help=text)
    text = "device profile (default: %(default)s)"
    parser.add_argument("--client", default="odroid-xu4", metavar="DEVICE", help=text)
    parser.add_argument("--server", default="titan-xp", metavar="DEVICE", help=text)
    add_json(parser)
    given = parser.parse_args()
    loads, rates_mbps = numbers("--loads", given.loads), numbers("--up-mbps", given.up_mbps)
    found = list(rows(loads, rates_mbps, given.client, given.server))
    if given.json:
        print_json({"rows": found})
        return EXIT_COMPLETE
    print_table(
        ("model", "Mbit/s up", "load", "local ms", "path ms", "cut ms", "path loses", "layers"),
        [
            (
                row["model"],
                f"{row['up_mbps']:g}",
                f"{row['server_load']:g}x",
                *(
                    f"{row[key] * 1e3:,.1f}"
                    for key in ("local_s", "shortest_path_s", "minimum_cut_s")
                ),
                f"{row['path_loses_share']:.2%}",
                f"{row['path_server_layers']}, {row['cut_server_layers']}",
            )
            for row in found
        ],
    )
    print("\nlayers: at the server by the path, and by the cut")
    worst = max(found, key=lambda row: row["path_loses_share"])
    print(
        f"the path loses at most {worst['path_loses_share']:.1%}: {worst['model']} at"
        f" {worst['up_mbps']:g} Mbit/s, the server {worst['server_load']:g} times slower than idle"
    )
    return EXIT_COMPLETE


if __name__ == "__main__":
    exit_with(main)
