"""How many clients this machine carries in each compute mode, by the verdicts of real runs.

    sudo .venv/bin/python benchmarks/capacity.py
    sudo .venv/bin/python benchmarks/capacity.py --modes memo --most 8 --duration 30

Each run is experiments/kaist_full.py with all access points, a shorter window and fewer clients.
Numbers of clients are bisected: at the largest one that is printed the verdict was good, at the
next one that was tried it was not. With 31 clients, three modes and a minute each that takes about
half an hour. The first minute, in which all clients upload at once, is the hardest one: longer runs
carry more.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.full_run import full_run
from benchmarks.reporting import parser, printed_as_json
from testbed.errors import EXIT_COMPLETE
from testbed.exits import exit_with
from testbed.terminal import print_table

MODES = ("real", "memo", "profile")


def main() -> int:
    """Bisect for each mode, and print."""
    made = parser(__doc__)
    made.add_argument("--modes", default=",".join(MODES), help="(default: %(default)s)")
    made.add_argument("--most", type=int, default=31, help="clients (default: %(default)s)")
    made.add_argument("--duration", default="60", help="emulated (default: %(default)s)")
    made.add_argument("--tdf", default="1", help="(default: %(default)s)")
    given = made.parse_args()
    modes = given.modes.split(",")
    if not set(modes) <= set(MODES):
        made.error(f"--modes {given.modes}: expected some of {', '.join(MODES)}, comma between")
    if given.most < 1:
        made.error(f"--most {given.most}: expected at least 1 client")
    rows = []
    for mode in modes:
        options = ("--compute", mode, "--duration", given.duration, "--tdf", given.tdf)
        rows.append({"mode": mode} | largest(given.most, options))
    if printed_as_json(given, rows):
        return EXIT_COMPLETE
    print_table(
        ("compute", "most clients", "first not good", "its verdict and reason"),
        [
            (row["mode"], row["clients"], row["not_good"] or "-", row["reason"] or "-")
            for row in rows
        ],
    )
    return EXIT_COMPLETE


def largest(most: int, options: tuple[str, ...]) -> dict[str, Any]:
    """Return the largest number of clients with a good verdict, and why more is not."""
    good, bad, reason = 0, most + 1, None
    clients = most
    while bad - good > 1:
        verdict, reasons = verdict_of(clients, options)
        told = "; ".join([verdict, *reasons])
        sys.stderr.write(f"{' '.join(options)}: {clients} clients: {told}\n")
        if verdict == "good":
            good = clients
        else:
            bad, reason = clients, told
        clients = (good + bad) // 2
    return {"clients": good, "not_good": bad if bad <= most else None, "reason": reason}


def verdict_of(clients: int, options: tuple[str, ...]) -> tuple[str, list[str]]:
    """Run once; return the verdict and its reasons."""
    with full_run(*options, "--clients", str(clients)) as run:
        fidelity = run.result().read_json("fidelity")
    return fidelity["verdict"], fidelity["reasons"]


if __name__ == "__main__":
    exit_with(main)
