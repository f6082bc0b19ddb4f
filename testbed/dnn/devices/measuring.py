"""Measures how long each layer of a model takes on this machine.

A pass executes all layers one after the other, as clients and edge servers do, with a mark between
any two. Every other pass is marked at its ends only, which shows what the marks cost.
"""

from __future__ import annotations

import itertools
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

import msgspec
import numpy as np
import torch
from torch import Tensor

from testbed.dnn.devices.device_file import ProfiledLayer
from testbed.dnn.devices.layer_times import work_of
from testbed.dnn.executor import Executor
from testbed.dnn.graph import INPUT
from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import DEFAULT_INPUT_SHAPE, build_model
from testbed.dnn.tensors import Values
from testbed.errors import MachineError

Accelerator = Literal["cpu", "cuda"]

WARM_UP_PASSES = 3
FEWEST_RUNS, MAX_RUNS = 10, 100
MEASURING_S = 5.0  # how long all passes should take where their number is not given
_CUDA_RESOLUTION_S = 0.5e-6  # of events, by NVIDIA's documentation of cudaEventElapsedTime


@dataclass(frozen=True)
class Measurement:
    """A model's layers as timed on this machine, and how far to trust it.

    `pass_s` are the times of the passes that were not marked by layer, `marked_pass_s` of those
    that were, in the order of their execution.
    """

    layers: tuple[ProfiledLayer, ...]
    pass_s: tuple[float, ...]
    marked_pass_s: tuple[float, ...]

    @property
    def sum_s(self) -> float:
        """Sum of the layers' times, each the median of its own."""
        return sum(layer.time_s for layer in self.layers)


class Stopwatch(Protocol):
    """Times what lies between marks, on whatever computes."""

    def mark(self) -> None:
        """Put a mark behind everything asked for so far."""

    def intervals_s(self) -> list[float]:
        """Wait for the last mark, return the seconds between marks, and forget them."""


def measure(
    model: str,
    *,
    input_shape: Sequence[int] = DEFAULT_INPUT_SHAPE,
    runs: int | None = None,
    threads: int | None = None,
    accelerator: Accelerator = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> Measurement:
    """Time every layer of a model (the testbed's, or "package.module:factory") on this machine.

    The query has `input_shape` where the factory names no example. There are `runs` passes with
    marks, and as many without; None for about `MEASURING_S` in all. PyTorch computes with so many
    `threads` on the processors; None for its own choice. `say` is told each step. Raises ModelError
    if there is no such model, or it cannot be captured, and MachineError if PyTorch has no such
    accelerator here.
    """
    check_accelerator(accelerator)
    with _threads(threads):
        say(f"{model}: capture")
        module, examples = build_model(model, input_shape=input_shape)
        query = tuple(example.to(accelerator) for example in examples)
        captured = capture(module.to(accelerator), query, model)
        executor, graph = Executor(captured), captured.graph
        watch: Stopwatch = _CudaEvents() if accelerator == "cuda" else _HostTimer()
        times_s = partial(_pass, executor, len(graph), query, watch)
        say(f"{model}: {WARM_UP_PASSES} passes to warm up")
        fastest_s = min(sum(times_s(by_layer=True)) for _ in range(WARM_UP_PASSES))
        if runs is None:
            runs = min(max(round(MEASURING_S / 2 / fastest_s), FEWEST_RUNS), MAX_RUNS)
        say(f"{model}: {2 * runs} passes of {fastest_s * 1e3:.1f} ms, every other timed by layer")
        pairs = [(times_s(by_layer=True), times_s(by_layer=False)) for _ in range(runs)]
    marked = np.array([by_layer for by_layer, _ in pairs])
    p10_s, median_s, p90_s = np.percentile(marked, (10, 50, 90), axis=0).round(9).tolist()
    return Measurement(
        layers=tuple(
            ProfiledLayer(
                model=graph.model,
                layer=layer.name,
                time_s=median_s[index],
                p10_s=p10_s[index],
                p90_s=p90_s[index],
                runs=runs,
                **msgspec.structs.asdict(work_of(graph, index)),
            )
            for index, layer in enumerate(graph.layers)
        ),
        pass_s=tuple(sum(whole) for _, whole in pairs),
        marked_pass_s=tuple(sum(by_layer) for by_layer, _ in pairs),
    )


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Have PyTorch compute with so many threads; None for its own choice."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine(device: str, accelerator: Accelerator, threads: int | None) -> dict[str, str]:
    """Return the metadata of what `measure` measures here, for a device of that name.

    Raises MachineError if PyTorch has no such accelerator here.
    """
    check_accelerator(accelerator)
    on_gpu = accelerator == "cuda"
    build = f"CUDA {torch.version.cuda}" if on_gpu else "CPU"
    return {
        "device": device,
        "framework": f"PyTorch {torch.__version__}, {build}",
        "processor": torch.cuda.get_device_name() if on_gpu else _cpu(),
        "threads": str(threads or torch.get_num_threads()),
        "source": "measured by 'testbed profile': medians, 10th and 90th percentiles of the runs",
        "date": datetime.now(timezone.utc).date().isoformat(),
        "unit": "time_s in seconds, layers executed one after the other, no other load",
    }


@torch.inference_mode()
def _pass(
    executor: Executor, layers: int, query: tuple[Tensor, ...], watch: Stopwatch, *, by_layer: bool
) -> list[float]:
    """Execute all layers once; return the seconds of each, or of all as one."""
    values: dict[int, tuple[Tensor, ...]] = {INPUT: query}
    known: Values = values
    watch.mark()
    for index in range(layers):
        values[index] = executor.run_layer(index, known)
        if by_layer or index == layers - 1:
            watch.mark()
    return watch.intervals_s()


class _HostTimer:
    """The monotonic clock, for what computes before it returns."""

    def __init__(self) -> None:
        self._marks_ns: list[int] = []

    def mark(self) -> None:
        self._marks_ns.append(time.perf_counter_ns())

    def intervals_s(self) -> list[float]:
        marks, self._marks_ns = self._marks_ns, []
        return [1e-9 * max(1, after - mark) for mark, after in itertools.pairwise(marks)]


class _CudaEvents:
    """Events in the stream of kernels, so that kernels are never waited for within a pass."""

    def __init__(self) -> None:
        self._events: list[torch.cuda.Event] = []

    def mark(self) -> None:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._events.append(event)

    def intervals_s(self) -> list[float]:
        events, self._events = self._events, []
        events[-1].synchronize()
        return [
            max(1e-3 * first.elapsed_time(second), _CUDA_RESOLUTION_S)
            for first, second in itertools.pairwise(events)
        ]


def check_accelerator(accelerator: str) -> None:
    """Raise MachineError where PyTorch has no such accelerator."""
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise MachineError(f"PyTorch {torch.__version__} finds no CUDA device on this machine")


def _cpu() -> str:
    """The processor's name where Linux tells it (not on every ARM), else its architecture."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
