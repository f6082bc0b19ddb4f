"""What all of KAIST takes of this machine's memory, when it is ready and while it runs.

    sudo .venv/bin/python benchmarks/memory.py
    sudo .venv/bin/python benchmarks/memory.py --duration 60 --every 20

Runs experiments/kaist_full.py. By role, processes and their memory (PSS: pages that several share
are divided among them; of that, what is the process's own data). As a whole, by how much less
memory is available than before the run, which counts the kernel's share too: page tables, sockets,
interfaces, and the layers and outputs that are files in memory.
"""

from __future__ import annotations

import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from benchmarks.full_run import full_run
from benchmarks.reporting import parser, printed_as_json
from testbed.errors import EXIT_COMPLETE
from testbed.exits import exit_with
from testbed.terminal import print_table

ROLES = ("edge", "client", "master", "nursery", "builder")  # of "testbed edge ap12"
_LOOK_S = 2.0


def main() -> int:
    """Run, sample, and print."""
    made = parser(__doc__)
    made.add_argument("--duration", default="600", help="emulated (default: %(default)s)")
    made.add_argument(
        "--every", type=float, default=120.0, metavar="S", help="(default: %(default)s)"
    )
    made.add_argument("options", nargs="*", help="of the experiment, after --")
    given = made.parse_args()
    if not _LOOK_S <= given.every < math.inf:
        made.error(f"--every {given.every:g}: expected at least {_LOOK_S:g} s")
    options = ["--duration", given.duration, *given.options]
    samples = list(sampled(options, given.every))
    if printed_as_json(given, samples):
        return EXIT_COMPLETE
    for sample in samples:
        print_table(
            ("role", "processes", "PSS, MB", "own, MB", "PSS each, MB"),
            [
                (role, of["processes"], of["pss_mb"], of["own_mb"], of["pss_mb"] / of["processes"])
                for role, of in sample["roles"].items()
            ],
            title=f"{sample['when']}: the whole takes {sample['whole_mb']:,.0f} MB",
        )
        print()
    print(f"at most: {max(sample['most_mb'] for sample in samples):,.0f} MB")
    return EXIT_COMPLETE


def sampled(options: list[str], every_s: float) -> Iterator[dict[str, Any]]:
    """Run the experiment; yield what it takes when it is ready and every so many seconds."""
    before_bytes = psutil.virtual_memory().available
    most_bytes = 0

    def taken_bytes() -> int:
        return before_bytes - psutil.virtual_memory().available

    def sample(when: str) -> dict[str, Any]:
        whole_bytes = taken_bytes()
        sys.stderr.write(f"{when}: {whole_bytes / 1e6:,.0f} MB\n")
        return {
            "when": when,
            "whole_mb": whole_bytes / 1e6,
            "most_mb": max(most_bytes, whole_bytes) / 1e6,
            "roles": by_role(psutil.Process(run.pid)),
        }

    with full_run(*options) as run:
        ready_s: float | None = None
        due_s = 0.0
        while run.goes_on():
            time.sleep(_LOOK_S)
            if ready_s is None and "ready after" in run.said():
                ready_s = time.monotonic()
                yield sample("ready")
                due_s = every_s
            most_bytes = max(most_bytes, taken_bytes())
            if ready_s is not None and time.monotonic() - ready_s >= due_s:
                yield sample(f"after {due_s:g} s")
                due_s += every_s
        run.result()


def by_role(run: psutil.Process) -> dict[str, dict[str, float]]:
    """Return, of each role of a run, its processes and their memory in MB."""
    found: dict[str, dict[str, float]] = defaultdict(
        lambda: {"processes": 0, "pss_mb": 0.0, "own_mb": 0.0}
    )
    for process in run.children(recursive=True):
        try:
            title: str = (process.cmdline() or [process.name()])[0]
            name, role, *_ = [*title.split(), ""]
            of = found[role if name == "testbed" and role in ROLES else process.name()]
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            continue
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in rollup.splitlines()[1:]}
        of["processes"] += 1
        of["pss_mb"] += kilobytes["Pss"] * 1024 / 1e6
        of["own_mb"] += kilobytes["Pss_Anon"] * 1024 / 1e6
    return dict(found)


if __name__ == "__main__":
    exit_with(main)
