"""What a pass of each model takes: layer by layer, and with chains folded for inference.

    .venv/bin/python benchmarks/execution.py
    .venv/bin/python benchmarks/execution.py --precision bfloat16
    .venv/bin/python benchmarks/execution.py --device cuda

Both in turn, on one thread, in processor time (on a GPU in wall time), after two passes to warm up;
medians and least. With another device or precision than the usual, the folded pass there is the
third, and a further row says by how much outputs differ then, over models with other weights:
`of_greatest` is the most that a number is off beyond what PyTorch allows in that precision, as a
share of its tensor's greatest, `cosine` the least of a whole tensor, `same_top` how many models
have the same greatest answer. The testbed's tolerances are in `testbed/dnn/tolerance.py`.
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
from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.executor import Executor
from testbed.dnn.fused_executor import FusedExecutor
from testbed.dnn.graph import INPUT
from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import NETWORKS, build_model
from testbed.dnn.placed_executor import PlacedExecutor
from testbed.dnn.target import REFERENCE, Target, begin
from testbed.dnn.tolerance import TOLERANCES
from testbed.exits import exit_with
from testbed.terminal import print_table


def main() -> int:
    """Measure each model, and print."""
    made = parser(__doc__)
    made.add_argument("--passes", type=int, default=20, help="of each (default: %(default)s)")
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--precision", choices=tuple(TOLERANCES), default="float32")
    made.add_argument(
        "--seeds", type=int, default=3, help="models whose outputs are compared (%(default)s)"
    )
    given = made.parse_args()
    torch.set_num_threads(1)
    target = Target(given.device, given.precision)
    if target.device != "cpu":
        begin(target.device)
    rows = [measured(model, given.passes, target) for model in NETWORKS]
    if target != REFERENCE:
        rows = [row | differences(row["model"], given.seeds, target) for row in rows]
    if not printed_as_json(given, rows):
        print_table(list(rows[0]), [list(row.values()) for row in rows])
    return 0


def measured(model: str, passes: int, target: Target) -> dict[str, Any]:
    """Return the milliseconds that a pass takes, each way."""
    module, examples = build_model(model)
    captured = capture(module, examples, model)
    ways = {"plain": Executor(captured), "folded": FusedExecutor(captured)}
    if target != REFERENCE:
        ways["_".join(target)] = placed(captured, target)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(passes + 2):
        for way, executor in ways.items():
            clock_s = time.monotonic if way.startswith("cuda") else time.thread_time
            spent_s = _spent_s(lambda executor=executor: executor.query(*examples), clock_s)  # type: ignore[misc]
            if number > 1:
                times[way].append(spent_s * 1e3)
    figures: dict[str, Any] = {"model": model}
    for way, each in times.items():
        figures |= {f"{way}_ms": round(statistics.median(each), 1)}
        figures |= {f"{way}_least_ms": round(min(each), 1)}
    return figures


def differences(model: str, seeds: int, target: Target) -> dict[str, Any]:
    """Return how far the outputs of all layers are from the reference's, every layer on its own."""
    beyond, cosine, same = 0.0, 1.0, 0
    relative = TOLERANCES[target.precision].relative
    for seed in range(seeds):
        module, query = build_model(model, seed)
        captured = capture(module, query, model)
        last = len(captured.graph) - 1
        true = Executor(captured).run_all(*query)
        found = placed(captured, target).run(0, last, {INPUT: query}, range(last + 1))
        for producer in range(last + 1):
            one, other = (v[producer][0].double().flatten() for v in (found, true))
            off = (one - other).abs() - relative * other.abs()
            beyond = max(beyond, float(off.max() / other.abs().max()))
            cosine = min(cosine, float(torch.cosine_similarity(one, other, dim=0)))
        same += int(found[last][0].argmax() == true[last][0].argmax())
    return {
        "of_greatest": float(f"{beyond:.2g}"),
        "cosine": round(cosine, 5),
        "same_top": f"{same} of {seeds}",
    }


def placed(captured: CapturedModel, target: Target) -> PlacedExecutor:
    """Return an executor at a target with a model's weights, which it has to itself."""
    executor, source = PlacedExecutor(captured.without_weights(), target), Executor(captured)
    for index, size in enumerate(captured.graph.weight_bytes.tolist()):
        if size:
            executor.load_layer(index, bytes(source.layer_weights(index)))
    return executor


def _spent_s(work: Callable[[], object], clock_s: Callable[[], float]) -> float:
    began_s = clock_s()
    work()
    return clock_s() - began_s


if __name__ == "__main__":
    exit_with(main)
