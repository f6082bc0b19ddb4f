"""What the paper's shortest path loses against the best plan (section III.C.2, Fig. 5).

    python experiments/fig5_partitioning.py

The shortest path takes a model's layers as a line, on which changing sides carries over every
tensor that is needed later. Models with branches can do better: a minimum cut finds the best
assignment of all. The table compares both where the server is idle, as in the paper, and where it
is crowded or the network is fast, which makes partial offloading worth while.
"""

from itertools import product

import _venv  # noqa: F401  continues under the project's interpreter; must come first

from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.models.published import published_graph
from testbed.dnn.partitioning.partition import Costs, shortest_path
from testbed.dnn.partitioning.partitioner import best_plan
from testbed.settings.options import Parser
from testbed.studies import paper
from testbed.studies.calculation import Calculation, main
from testbed.studies.findings import Column, Findings, Row, Table, plain
from testbed.studies.study import numbers


def options(command_line: Parser) -> None:
    """Add the loads and rates."""
    text = "how many times slower than idle the server is (default: %(default)s)"
    command_line.add_argument("--loads", default="1,10,60,150", metavar="F,F,..", help=text)
    text = "uplink rates in Mbit/s (default: %(default)s)"
    command_line.add_argument("--up-mbps", default="35,350,1000", metavar="R,R,..", help=text)


def calculate(calculation: Calculation) -> Findings:
    """Compare both plans for each model, load and uplink rate (downlink: 50/35 of it)."""
    given, devices = calculation.given, calculation.settings.model
    what = "write numbers above 0, for example 1,10,100"
    loads = numbers("--loads", given.loads, what)
    rates_mbps = numbers("--up-mbps", given.up_mbps, what)
    rows: list[Row] = []
    for model, rate_mbps, load in product(paper.MODELS, rates_mbps, loads):
        graph = published_graph(model)
        client_s = device_profile(devices.client_device).layer_times(graph)
        server_s = device_profile(devices.server_device).layer_times(graph) * load
        costs = Costs(client_s, server_s, rate_mbps * 1e6, rate_mbps * 50 / 35 * 1e6)
        path, cut = shortest_path(graph, costs), best_plan(graph, costs)
        rows.append(
            {
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
        )
    worst = max(rows, key=lambda row: row["path_loses_share"])
    columns = (
        *(plain("model"), plain("Mbit/s up", "up_mbps", "g")),
        Column("load", lambda row: f"{row['server_load']:g}x"),
        *(in_ms("local ms", "local_s"), in_ms("path ms", "shortest_path_s")),
        *(in_ms("cut ms", "minimum_cut_s"), plain("path loses", "path_loses_share", ".2%")),
        Column("layers", lambda row: f"{row['path_server_layers']}, {row['cut_server_layers']}"),
    )
    text = (
        f"the path loses at most {worst['path_loses_share']:.1%}: {worst['model']} at"
        f" {worst['up_mbps']:g} Mbit/s, the server {worst['server_load']:g} times slower than idle"
    )
    below = "\nlayers: at the server by the path, and by the cut"
    return Findings(rows, [Table(columns, rows), below, text])


def in_ms(heading: str, figure: str) -> Column:
    """Show seconds in milliseconds."""
    return Column(heading, lambda row: f"{row[figure] * 1e3:,.1f}")


if __name__ == "__main__":
    reads = ("model.client_device", "model.server_device")
    main("fig5_partitioning", calculate, reads=reads, options=options)
