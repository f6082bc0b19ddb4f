"""A process that runs inference, as a client's queries at a server do: for `contention_host`.

    python -m testbed.gpu.contention.contention_process client|timed ACCELERATOR SEED MODEL...

It is told what to do on its standard input and answers on its standard output, in messages
of `testbed.frames`. It ends when its input does, so it never survives who started it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from testbed import frames
from testbed.dnn.graph import INPUT, LayerGraph
from testbed.errors import MachineError, ModelError
from testbed.gpu.sources import find_source
from testbed.gpu.stats import ServerStats, StatsSource

if TYPE_CHECKING:
    from torch import Tensor

    from testbed.dnn.executor import Executor


class Loaded(msgspec.Struct):
    """The first answer: the models that are loaded, or why they are not."""

    graphs: tuple[LayerGraph, ...] = ()
    machine_error: str = ""
    model_error: str = ""


class QueryRepeatedly(msgspec.Struct):
    """A client shall ask again and again with this mean gap; without one it pauses."""

    mean_gap_s: float | None


class BusySpans(msgspec.Struct):
    """When a client that pauses has had work since the last pause, monotonic seconds."""

    spans_s: tuple[tuple[float, float], ...]


class Time(msgspec.Struct):
    """Queries shall be timed for so long, each after a gap of at least `period_s`, none if 0."""

    seconds: float
    period_s: float


class Request(msgspec.Struct):
    """A timed query: when (monotonic), at which load, which model, and seconds of each layer."""

    at_s: float
    stats: ServerStats
    model: int
    times_s: tuple[float, ...]


class Timed(msgspec.Struct):
    """All queries that were timed."""

    requests: tuple[Request, ...]


class _Model:
    """A captured model with weights and a query, on the accelerator."""

    def __init__(self, name: str, seed: int, accelerator: str) -> None:
        import torch

        from testbed.dnn.executor import Executor
        from testbed.dnn.graph_capture import capture
        from testbed.dnn.models.factory import build_model

        module, examples = build_model(name, seed)
        self.query: tuple[Tensor, ...] = tuple(example.to(accelerator) for example in examples)
        captured = capture(module.to(accelerator), self.query, name)
        self.graph = captured.graph
        self._executor: Executor = Executor(captured)
        self._await_device: Callable[[], object] = (
            torch.cuda.synchronize if accelerator == "cuda" else lambda: None
        )

    def run(self) -> None:
        """Execute a query."""
        self._executor.query(*self.query)
        self._await_device()

    def time(self) -> tuple[float, ...]:
        """Execute a query; return the seconds of each layer."""
        import torch

        values: dict[int, tuple[Tensor, ...]] = {INPUT: self.query}
        times_s = []
        with torch.inference_mode():
            for index in range(len(self.graph)):
                start_s = time.perf_counter()
                values[index] = self._executor.run_layer(index, values)
                self._await_device()
                times_s.append(time.perf_counter() - start_s)
        return tuple(times_s)


def _ask(model: _Model, answers: int, rng: np.random.Generator) -> None:
    """Be a client until the input ends."""
    spans_s: list[tuple[float, float]] = []
    while (told := frames.read(0, QueryRepeatedly)) is not None:
        if told.mean_gap_s is None:
            frames.write(answers, BusySpans(tuple(spans_s)))
            spans_s.clear()
            continue
        while not frames.readable(0, time.monotonic() + rng.exponential(told.mean_gap_s)):
            start_s = time.monotonic()
            model.run()
            spans_s.append((start_s, time.monotonic()))


def _time(
    models: list[_Model], source: StatsSource, answers: int, rng: np.random.Generator
) -> None:
    """Be the client that is timed until the input ends."""
    number = 0
    while (told := frames.read(0, Time)) is not None:
        end_s = time.monotonic() + told.seconds
        requests: list[Request] = []
        while time.monotonic() < end_s:
            source.read(0)  # what follows speaks of the gap alone
            gap_s = told.period_s * (1.0 + 0.5 * rng.random())
            if frames.readable(0, time.monotonic() + gap_s):
                break
            stats, at_s = source.read(0), time.monotonic()
            model = number % len(models)
            number += 1
            requests.append(Request(at_s, stats, model, models[model].time()))
        frames.write(answers, Timed(tuple(requests)))


def main() -> int:
    """Load the models and do what is told."""
    role, accelerator, seed, *names = sys.argv[1:]
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a model prints is no answer
    rng = np.random.default_rng(int(seed))
    try:
        models = _load(names, int(seed), accelerator)
        if role == "client":
            frames.write(answers, Loaded())
            _ask(models[0], answers, rng)
        else:
            with closing(find_source("nvml" if accelerator == "cuda" else "host")) as source:
                frames.write(answers, Loaded(tuple(model.graph for model in models)))
                _time(models, source, answers, rng)
    except ModelError as error:
        frames.write(answers, Loaded(model_error=str(error)))
        return error.exit_status
    except MachineError as error:
        frames.write(answers, Loaded(machine_error=str(error)))
        return error.exit_status
    return 0


def _load(names: list[str], seed: int, accelerator: str) -> list[_Model]:
    import torch

    from testbed.dnn.devices.measuring import check_accelerator

    torch.set_num_threads(1)
    check_accelerator(accelerator)
    models = [_Model(name, seed, accelerator) for name in names]
    for model in models:
        model.run()  # the first time is slower than all others
    return models


if __name__ == "__main__":
    sys.exit(main())
