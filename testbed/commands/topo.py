"""`testbed topo`: the nodes, links and rates of a topology."""

from __future__ import annotations

import argparse
from typing import Any

from testbed.errors import EXIT_COMPLETE, ConfigurationError
from testbed.output import add_json, print_json
from testbed.settings.units import format_rate
from testbed.terminal import print_table

HELP = "print the nodes, links and rates of a topology"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("topology", metavar="NAME|FILE.py:NAME", help="a Mininet Topo")
    parser.add_argument(
        "--access-points",
        type=int,
        default=8,
        metavar="N",
        help="how many access points it joins (default: %(default)s)",
    )
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Print the topology."""
    if given.access_points < 1:
        raise ConfigurationError(f"--access-points {given.access_points}: must be at least 1")
    content = describe(given.topology, given.access_points)
    if given.json:
        print_json(content)
        return EXIT_COMPLETE
    print_table(
        ("kind", "number", "nodes"),
        [(kind, len(content[kind]), ", ".join(content[kind])) for kind in ("hosts", "switches")],
    )
    links = [(each["a"], each["b"], format_rate(each["rate_bps"])) for each in content["links"]]
    print_table(("link", "", "rate"), links, title="\nlinks")
    return EXIT_COMPLETE


def describe(spec: str, access_points: int) -> dict[str, Any]:
    """Return `hosts`, `switches` and `links` (a, b, rate_bps) for ap1, ap2, ..., ready for JSON.

    Raises TopologyError: no such topology, or one that an experiment cannot use.
    """
    from controllers.paths import topology_rate_bps
    from topologies.layout import layout_of

    names = [f"ap{number}" for number in range(1, access_points + 1)]
    topo = layout_of(spec, names)
    return {
        "hosts": list(topo.host_names),
        "switches": list(topo.switch_names),
        "links": [
            {"a": a, "b": b, "rate_bps": topology_rate_bps(link)}
            for a, b, link in topo.links(withInfo=True)
        ],
    }
