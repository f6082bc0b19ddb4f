"""`testbed analyze`: backhaul traffic, flows and peaks, from a run or from any captures."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import EXIT_COMPLETE, ConfigurationError
from testbed.output import add_json, print_json, to_json
from testbed.runs.folder import RunFolder
from testbed.settings.units import format_size, parse_time
from testbed.terminal import print_table

if TYPE_CHECKING:  # they take a while to import
    from testbed.analysis.traffic.traffic_analysis import TrafficAnalysis

HELP = "count backhaul traffic and flows in the captures of a run, or in any captures"
_SHOWN, _FLOWS_SHOWN = 20, 10
_FORMATS = ("parquet", "csv", "json")
#: Of bare captures, whose run nobody knows.
_INTERVAL_S = 30.0
_SHORTEST_S = 1e-6  # times in captures are in microseconds or nanoseconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=_path,
        metavar="RUN|FILE",
        help="the folder of a run, or captures (pcapng or pcap): there the servers are IP "
        "addresses, and a frame counts in its sender's uplink and its receiver's downlink",
    )
    parser.add_argument(
        "--interval",
        metavar="T",
        help="length of an interval, s or with a unit (default: a run's own; 30 of captures)",
    )
    parser.add_argument(
        "--out",
        type=_path,
        metavar="FOLDER",
        help="write the tables there: backhaul (by server, interval, direction and cause), flows, "
        "servers (peaks) and, of a run, reconciliation",
    )
    parser.add_argument(
        "--format", metavar="F,...", help=f"of what --out writes (default: {','.join(_FORMATS)})"
    )
    parser.add_argument(
        "--install-dissector",
        action="store_true",
        help="have Wireshark and tshark show the testbed's messages, from now on and for this user",
    )
    add_json(parser)


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("names no file or folder")
    return Path(text)


def run(given: argparse.Namespace) -> int:
    """Print the traffic, and write its tables where wanted."""
    if given.install_dissector:
        from testbed.analysis.captures.wireshark import install_dissector

        sys.stderr.write(f"installed: {install_dissector()}\n")
        if not given.paths:
            return EXIT_COMPLETE
    if not given.paths:
        raise ConfigurationError("name the folder of a run, or captures")
    interval_s = None if given.interval is None else parse_time(given.interval)
    if interval_s is not None and not _SHORTEST_S <= interval_s < math.inf:
        raise ConfigurationError(f"--interval {given.interval}: expected 1us or more")
    if given.out is not None and (given.out / "manifest.json").exists():
        raise ConfigurationError(f"--out {given.out}: is a run's folder, whose tables stay")
    if given.format is not None and given.out is None:
        raise ConfigurationError("--format is of what --out writes; name a folder with --out")
    formats = _FORMATS if given.format is None else given.format.split(",")
    if not set(formats) <= set(_FORMATS):
        raise ConfigurationError(f"--format {given.format}: expected some of {','.join(_FORMATS)}")
    try:
        found = _analyze(given.paths, interval_s)
    except OSError as error:  # of looking at the paths; each reader has its own
        raise ConfigurationError(f"paths cannot be looked at: {error.strerror}") from error
    for problem in found.problems:
        sys.stderr.write(f"warning: {problem}\n")
    if given.out is not None:
        _write(found, given.out, formats)
    if given.json:
        print_json(found.figures())
    else:
        _print(found)
    return EXIT_COMPLETE


def _analyze(paths: list[Path], interval_s: float | None) -> TrafficAnalysis:
    from testbed.analysis.traffic.traffic_analysis import analyze_capture, analyze_run

    folders = [path for path in paths if path.is_dir()]
    if folders and len(paths) > 1:
        raise ConfigurationError(f"{folders[0]}: name one run, or captures, not both")
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ConfigurationError(f"{missing[0]}: no such run or capture")
    pipes = [path for path in paths if path.is_fifo()]
    if pipes:
        raise ConfigurationError(
            f"{pipes[0]}: is a pipe; captures are read twice: keep it in a file"
        )
    for index, path in enumerate(paths):
        if any(path.samefile(other) for other in paths[:index]):
            raise ConfigurationError(f"{path}: is named twice, and would be counted twice")
    if not folders:
        return analyze_capture(paths, interval_s or _INTERVAL_S)
    if not (folders[0] / "manifest.json").exists() and any(folders[0].glob("*.pcap*")):
        raise ConfigurationError(f"{folders[0]}: is no run's folder; name the captures in it")
    if (folders[0] / "pcap" / "raw").exists():
        raise ConfigurationError(
            f"{folders[0]}: goes on, or was killed; then call `testbed report` on it first"
        )
    return analyze_run(RunFolder(folders[0]), interval_s)


def _write(found: TrafficAnalysis, folder: Path, formats: Sequence[str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, table in found.tables().items():
            if "parquet" in formats:
                table.to_parquet(folder / f"{name}.parquet", index=False)
            if "csv" in formats:
                table.to_csv(folder / f"{name}.csv", index=False)
        if "json" in formats:
            (folder / "analysis.json").write_text(to_json(found.figures()))
    except OSError as error:
        raise ConfigurationError(f"--out {folder}: cannot be written: {error.strerror}") from error
    sys.stderr.write(f"written: {folder}\n")


def _print(found: TrafficAnalysis) -> None:
    import pandas as pd

    from testbed.analysis.traffic.confirmation import checks
    from testbed.analysis.traffic.crowding import busiest

    peaks = found.peaks()
    highest = busiest(peaks[["peak_uplink_mbps", "peak_downlink_mbps"]])
    print_table(
        ("server", "peak uplink, Mbit/s", "peak downlink, Mbit/s", "crowded"),
        [
            (
                found.names.get(row.server, row.server),
                row.peak_uplink_mbps,
                row.peak_downlink_mbps,
                "yes" * row.crowded,
            )
            for row in peaks.loc[highest.index[:_SHOWN]].itertuples()
        ],
        title=f"{found.packets:,} packets, {format_size(found.captured_bytes)} as captured; "
        f"the busiest of {len(peaks)} servers, over {found.interval_s:g} s",
    )
    start = datetime.fromtimestamp(found.origin_unix_s, timezone.utc)
    sys.stdout.write(f"Intervals and flows are counted from {start:%Y-%m-%d %H:%M:%S} UTC.\n")
    share = found.share_under()
    if share is not None:
        sys.stdout.write(f"{share:.0%} of the servers stay under 100 Mbit/s.\n")
    for said in checks(found.reconciliation, found.witness):
        sys.stdout.write(said + "\n")
    print_table(
        (
            *("at", "from", "to", "cause", "in frames, bytes", "duration, s"),
            *("goodput, Mbit/s", "sent again, bytes"),
        ),
        [
            (
                f"{row.interface} {row.direction}".strip(),
                f"{found.names.get(row.src, row.src)}:{row.src_port}",
                f"{found.names.get(row.dst, row.dst)}:{row.dst_port}",
                row.cause,
                row.bytes,
                row.duration_s,
                None if pd.isna(row.goodput_mbps) else row.goodput_mbps,
                row.retransmitted_bytes,
            )
            for row in found.flows.nlargest(_FLOWS_SHOWN, "bytes").itertuples()
        ],
        title=f"The largest of {len(found.flows):,} flows",
    )
