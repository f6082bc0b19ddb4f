"""`testbed plan`: where the layers of a model run best, and in which order they are uploaded."""

from __future__ import annotations

import argparse
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from testbed.errors import EXIT_COMPLETE, ConfigurationError
from testbed.output import add_json, print_json
from testbed.settings.experiment import parse_value
from testbed.settings.units import format_size, parse_rate
from testbed.terminal import print_table

HELP = "partition a model between a client and a server, and order its upload"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--model", help="inception, mobilenet, resnet or package.module:factory", metavar="MODEL"
    )
    what.add_argument(
        "--graph", type=Path, metavar="FILE.json", help="a layer graph with times in s and bytes"
    )
    parser.add_argument(
        "--client",
        default="odroid-xu4",
        metavar="DEVICE",
        help="device or profile FILE.csv (default: %(default)s)",
    )
    parser.add_argument(
        "--server",
        default="titan-xp",
        metavar="DEVICE",
        help="device or profile FILE.csv (default: %(default)s)",
    )
    rate = "rate %s the client, bit/s or with a unit (default: %%(default)s)"
    parser.add_argument("--down", default="50Mbps", metavar="RATE", help=rate % "to")
    parser.add_argument("--up", default="35Mbps", metavar="RATE", help=rate % "from")
    parser.add_argument(
        "--planner",
        default="minimum_cut",
        metavar="PLANNER",
        help="minimum_cut, path, single_cut, all_server, all_client or static (default:"
        " %(default)s)",
    )
    parser.add_argument(
        "--static-cut", metavar="LAYER", help="planner static: the last layer at the client"
    )
    parser.add_argument(
        "--input-shape",
        default="1x3x224x224",
        metavar="NxCxHxW",
        help="shape of the query's input (default: %(default)s)",
    )
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Print the plan."""
    from testbed.dnn.partitioning.planners import find_planner
    from testbed.dnn.partitioning.planning import plan_for_model, plan_from_graph_json

    planner = find_planner(given.planner, given.static_cut)
    down_bps, up_bps = parse_rate(given.down), parse_rate(given.up)
    if given.graph is not None:
        plan = plan_from_graph_json(_read(given.graph), down_bps, up_bps, planner)
    else:
        plan = plan_for_model(
            given.model,
            given.client,
            given.server,
            down_bps=down_bps,
            up_bps=up_bps,
            input_shape=parse_shape(given.input_shape),
            planner=planner,
        )
    if given.json:
        print_json(plan)
    else:
        _print(plan)
    return EXIT_COMPLETE


def _read(path: Path) -> object:
    try:
        return msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: is no JSON: {error}") from error


def parse_shape(text: str) -> list[int]:
    """Return the sizes in the value of --input-shape; ConfigurationError if they are not sizes."""
    sizes = [parse_value(part) for part in text.lower().split("x")]
    if not all(isinstance(size, int) and size > 0 for size in sizes):
        raise ConfigurationError(f"--input-shape {text}: write for example 1x3x224x224")
    return [size for size in sizes if isinstance(size, int)]


def _print(plan: dict[str, Any]) -> None:
    rows = [
        ("query", f"{plan['latency_s'] * 1e3:,.1f} ms"),
        ("query, all at the client", f"{plan['local_latency_s'] * 1e3:,.1f} ms"),
        ("upload", f"{format_size(plan['upload_bytes'])} in {len(plan['upload'])} runs of layers"),
    ]
    for side, layers in plan.get("estimated", {}).items():
        if layers:
            of = len(plan["location"])
            rows.append(
                (f"times at the {side}", f"{layers} of {of} layers estimated, not measured")
            )
    print_table(("", ""), rows)
    sides = [list(run) for _, run in groupby(plan["location"].items(), key=lambda item: item[1])]
    print_table(
        ("where", "layers", "from", "to"),
        [(run[0][1], len(run), run[0][0], run[-1][0]) for run in sides],
        title="\nexecution",
    )
    print_table(
        ("run", "layers", "from", "to"),
        [(number, len(run), run[0], run[-1]) for number, run in enumerate(plan["upload"], 1)],
        title="\norder of upload",
    )
