"""`testbed analyze`: backhaul traffic per server and interval, from a run or bare captures."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from testbed.commands.output import add_json, print_json, print_table
from testbed.errors import EXIT_COMPLETE, ConfigurationError
from testbed.runfolder import RunFolder
from testbed.units import format_size, parse_time

HELP = "count backhaul traffic in the captures of a run, or in any captures"
_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="RUN|FILE",
        help="the folder of a run, or captures (pcapng or pcap): there the servers are IP "
        "addresses, and a frame that was captured at two interfaces counts at both",
    )
    parser.add_argument(
        "--interval",
        default="30",
        metavar="T",
        help="length of an interval, s or with a unit (default: %(default)s)",
    )
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Print the traffic."""
    interval_s = parse_time(given.interval)
    if interval_s <= 0:
        raise ConfigurationError(f"--interval {given.interval}: must be above 0 s")
    content = _analyze(given.paths, interval_s)
    if given.json:
        print_json(content)
        return EXIT_COMPLETE
    totals = content["totals"]
    busiest = sorted(content["servers"].items(), key=lambda item: -max(item[1].values()))
    print_table(
        ("server", "peak uplink, Mbit/s", "peak downlink, Mbit/s"),
        [(server, peak["uplink"], peak["downlink"]) for server, peak in busiest[:_SHOWN]],
        title=f"{totals['packets']:,} packets, {format_size(totals['bytes'])}; the busiest of "
        f"{len(busiest)} servers, over {interval_s:g} s",
    )
    return EXIT_COMPLETE


def _analyze(paths: list[Path], interval_s: float) -> dict[str, Any]:
    from testbed.analysis.backhaul import analyze_capture, analyze_run

    folders = [path for path in paths if path.is_dir()]
    if folders and len(paths) > 1:
        raise ConfigurationError(f"{folders[0]}: name one run, or captures, not both")
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ConfigurationError(f"{missing[0]}: no such run or capture")
    if not folders:
        return analyze_capture(paths, interval_s)
    if (folders[0] / "pcap" / "raw").exists():
        raise ConfigurationError(
            f"{folders[0]}: goes on, or was killed; then call `testbed report` on it first"
        )
    return analyze_run(RunFolder(folders[0]), interval_s)
