"""What a pass of each model takes of a core: layer by layer, and with chains folded for inference.

    .venv/bin/python benchmarks/execution.py

Both in turn, on one thread, in processor time, after two passes to warm up; medians and least.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from benchmarks.reporting import parser, printed_as_json
from testbed.dnn.executor import Executor
from testbed.dnn.fused_executor import FusedExecutor
from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import NETWORKS, build_model
from testbed.exits import exit_with
from testbed.terminal import print_table


def main() -> int:
    """Measure each model, and print."""
    made = parser(__doc__)
    made.add_argument("--passes", type=int, default=20, help="of each (default: %(default)s)")
    given = made.parse_args()
    torch.set_num_threads(1)
    rows = [measured(model, given.passes) for model in NETWORKS]
    if not printed_as_json(given, rows):
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    return 0


def measured(model: str, passes: int) -> dict[str, Any]:
    """Return the milliseconds of a core that a pass takes, both ways."""
    module, examples = build_model(model)
    captured = capture(module, examples, model)
    ways = {"plain": Executor(captured), "folded": FusedExecutor(captured)}
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(passes + 2):
        for way, executor in ways.items():
            spent_s = _spent_s(lambda executor=executor: executor.query(*examples))  # type: ignore[misc]
            if number > 1:
                times[way].append(spent_s * 1e3)
    figures: dict[str, Any] = {"model": model}
    for way, each in times.items():
        figures |= {f"{way}_ms": round(statistics.median(each), 1)}
        figures |= {f"{way}_least_ms": round(min(each), 1)}
    return figures


def _spent_s(work: Callable[[], object]) -> float:
    began_s = time.thread_time()
    work()
    return time.thread_time() - began_s


if __name__ == "__main__":
    exit_with(main)
