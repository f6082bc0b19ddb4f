"""A process that runs inference, as a client's queries at a server do: for `contention_host`.

    python -m testbed.gpu.contention_process client|timed ACCELERATOR SEED MODEL...

It is told what to do on its standard input and answers on its standard output, in frames of a
length and MessagePack. It ends when its input does, so it never survives who started it.
"""

from __future__ import annotations

import os
import select
import struct
import sys
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np

from testbed.dnn.graph import INPUT, LayerGraph
from testbed.errors import MachineError, ModelError
from testbed.gpu.sources import find_source
from testbed.gpu.stats import ServerStats, StatsSource

if TYPE_CHECKING:
    from torch import Tensor

    from testbed.dnn.execute import Executor

T = TypeVar("T")

MAX_FRAME_BYTES = 1 << 28
_LENGTH = struct.Struct(">I")


class Ready(msgspec.Struct):
    """The first answer: the models that are loaded, or why they are not."""

    graphs: tuple[LayerGraph, ...] = ()
    machine_error: str = ""
    model_error: str = ""


class Ask(msgspec.Struct):
    """A client shall ask again and again with this mean gap; without one it pauses."""

    mean_gap_s: float | None


class Asked(msgspec.Struct):
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


def send(file_number: int, message: msgspec.Struct) -> None:
    """Write a message to a pipe."""
    body = msgspec.msgpack.encode(message)
    frame = memoryview(_LENGTH.pack(len(body)) + body)
    while frame:
        frame = frame[os.write(file_number, frame) :]


def receive(file_number: int, kind: type[T], deadline_s: float = float("inf")) -> T | None:
    """Read a message from a pipe, at latest at an instant of the monotonic clock; None at its end.

    Raises:
        TimeoutError: the deadline has passed.
        ValueError: a frame that is too long, or no such message.
    """
    head = _exactly(file_number, _LENGTH.size, deadline_s)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of {length} bytes")
    body = _exactly(file_number, length, deadline_s)
    return None if body is None else msgspec.msgpack.decode(body, type=kind)


def _exactly(file_number: int, length: int, deadline_s: float) -> bytes | None:
    found = bytearray()
    while len(found) < length:
        if not _readable(file_number, deadline_s):
            raise TimeoutError(f"{length - len(found)} bytes of {length} did not come in time")
        part = os.read(file_number, length - len(found))
        if not part:
            return None
        found += part
    return bytes(found)


def _readable(file_number: int, deadline_s: float) -> bool:
    """Wait until there is something to read, or the end of it, at most until an instant."""
    wait_s = None if deadline_s == float("inf") else max(0.0, deadline_s - time.monotonic())
    return bool(select.select([file_number], [], [], wait_s)[0])


class _Model:
    """A captured model with weights and a query, on the accelerator."""

    def __init__(self, name: str, seed: int, accelerator: str) -> None:
        import torch

        from testbed.dnn.capture import capture
        from testbed.dnn.execute import Executor
        from testbed.dnn.models import build_model

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
    while (told := receive(0, Ask)) is not None:
        if told.mean_gap_s is None:
            send(answers, Asked(tuple(spans_s)))
            spans_s.clear()
            continue
        while not _readable(0, time.monotonic() + rng.exponential(told.mean_gap_s)):
            start_s = time.monotonic()
            model.run()
            spans_s.append((start_s, time.monotonic()))


def _time(
    models: list[_Model], source: StatsSource, answers: int, rng: np.random.Generator
) -> None:
    """Be the client that is timed until the input ends."""
    number = 0
    while (told := receive(0, Time)) is not None:
        end_s = time.monotonic() + told.seconds
        requests: list[Request] = []
        while time.monotonic() < end_s:
            source.read(0)  # what follows speaks of the gap alone
            gap_s = told.period_s * (1.0 + 0.5 * rng.random())
            if _readable(0, time.monotonic() + gap_s):
                break
            stats, at_s = source.read(0), time.monotonic()
            model = number % len(models)
            number += 1
            requests.append(Request(at_s, stats, model, models[model].time()))
        send(answers, Timed(tuple(requests)))


def main() -> int:
    """Load the models and do what is told."""
    role, accelerator, seed, *names = sys.argv[1:]
    answers = os.dup(1)
    os.dup2(2, 1)  # whatever a model prints is no answer
    rng = np.random.default_rng(int(seed))
    try:
        models = _load(names, int(seed), accelerator)
        if role == "client":
            send(answers, Ready())
            _ask(models[0], answers, rng)
        else:
            with closing(find_source("nvml" if accelerator == "cuda" else "host")) as source:
                send(answers, Ready(tuple(model.graph for model in models)))
                _time(models, source, answers, rng)
    except ModelError as error:
        send(answers, Ready(model_error=str(error)))
        return error.exit_status
    except MachineError as error:
        send(answers, Ready(machine_error=str(error)))
        return error.exit_status
    return 0


def _load(names: list[str], seed: int, accelerator: str) -> list[_Model]:
    import torch

    torch.set_num_threads(1)
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise MachineError(f"PyTorch {torch.__version__} finds no CUDA device on this machine")
    models = [_Model(name, seed, accelerator) for name in names]
    for model in models:
        model.run()  # the first time is slower than all others
    return models


if __name__ == "__main__":
    sys.exit(main())
