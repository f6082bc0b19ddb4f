"""Executing a range of layers in one of three ways, at a device's speed.

`real` computes every query in PyTorch. `memo` has computed each distinct input once, before the
run, and hands out the true outputs. `profile` computes nothing and sends zeros of the right size.
In each, the caller waits until the device profile's time is over, so the timing is the device's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import mmap
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nodes.setup import ComputeMode
from testbed.dnn.capture import CapturedModel
from testbed.dnn.execute import Executor
from testbed.dnn.graph import INPUT, LayerGraph
from testbed.dnn.tensors import joined_bytes, tensors_from_bytes
from testbed.errors import ProtocolError

Outputs = Mapping[int, memoryview]
"""The raw bytes of each producer's tensors; producer `INPUT` is the query's input."""

Weights = mmap.mmap | memoryview | bytes


_ALWAYS_KEPT_BYTES = 1 << 20  # of one output


class Job(NamedTuple):
    """Layers `first` to `last` of a client's model, on one of its inputs."""

    client: str
    input_key: int
    first: int
    last: int


class Computer:
    """One device: it holds the layers it was given, by client, and executes jobs.

    Args:
        captured: the model's structure, without weights.
        layer_s: the device's time for each layer, (n,) seconds.
        mode: how outputs come about.
        memo_folder: where `memo` finds them.
    """

    def __init__(
        self,
        captured: CapturedModel,
        layer_s: npt.NDArray[np.float64],
        mode: ComputeMode,
        memo_folder: Path,
    ) -> None:
        self.graph = captured.graph
        self.mode = mode
        self._captured = captured
        self._elapsed_s = np.concatenate(([0.0], np.cumsum(layer_s)))
        self._memo = Memo(captured.graph, memo_folder)
        self._weights: dict[str, dict[int, Weights]] = {}
        self._executors: dict[str, Executor] = {}
        self._pool = ThreadPoolExecutor(1, "compute")
        self._background = ThreadPoolExecutor(1, "repeat", _only_when_idle)

    def duration_s(self, job: Job) -> float:
        """Return the device's time for a job."""
        return float(self._elapsed_s[job.last + 1] - self._elapsed_s[job.first])

    def outputs_of(self, job: Job) -> tuple[int, ...]:
        """Return the layers of a job whose outputs are needed after it, ascending."""
        return tuple(p for p in self.graph.live(job.last + 1) if p >= job.first)

    def load(self, client: str, layer: int, weights: Weights) -> None:
        """Hold a layer of a client's model from now on."""
        self._weights.setdefault(client, {})[layer] = weights
        if client in self._executors:
            self._executors[client].load_layer(layer, memoryview(weights))

    def held_bytes(self, client: str) -> int:
        """Return the bytes of a client's layers that are held."""
        return sum(len(weights) for weights in self._weights.get(client, {}).values())

    def unload(self, client: str) -> None:
        """Forget a client's layers."""
        self._weights.pop(client, None)
        self._executors.pop(client, None)

    def unpack(self, producers: Sequence[int], body: bytes, job: Job) -> dict[int, memoryview]:
        """Split a query's body into tensors.

        Raises:
            ProtocolError: a tensor that the job does not read, or another length than theirs.
        """
        if not set(producers) <= set(self.graph.reads(job.first, job.last)):
            raise ProtocolError(f"{job} does not read the outputs of {tuple(producers)}")
        return split(self.graph, producers, body)

    async def execute(self, job: Job, inputs: Outputs) -> Outputs:
        """Return the outputs of a job; takes as long as it takes."""
        if self.mode == "memo" and self._memo.keeps(self.outputs_of(job)):
            return self._memo.read(job.client, job.input_key, self.outputs_of(job))
        if self.mode == "profile":
            return {p: memoryview(bytes(self.graph.bytes_of(p))) for p in self.outputs_of(job)}
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._compute, job, inputs)

    async def repeat_and_compare(self, job: Job, inputs: Outputs, outputs: Outputs) -> bool:
        """Execute a job for real, in the background, and say whether it gives these outputs.

        It uses the weights that are here at the call, also if they are discarded meanwhile.
        """
        executed = range(job.first, job.last + 1)
        needed = set(executed).union(*(self.graph.layers[i].weights_of for i in executed))
        weights = {
            layer: data
            for layer, data in self._weights.get(job.client, {}).items()
            if layer in needed
        }
        loop = asyncio.get_running_loop()
        again = await loop.run_in_executor(self._background, self._repeat, job, inputs, weights)
        return all(same_tensors(self.graph, p, again[p], outputs[p]) for p in again)

    def _repeat(self, job: Job, inputs: Outputs, weights: Mapping[int, Weights]) -> Outputs:
        executor = Executor(self._captured.without_weights())
        for layer, data in weights.items():
            executor.load_layer(layer, memoryview(data))
        try:
            return self._run(executor, job, inputs)
        finally:
            _give_memory_back()

    def _compute(self, job: Job, inputs: Outputs) -> Outputs:
        executor = self._executors.get(job.client)
        if executor is None:
            executor = Executor(self._captured.without_weights())
            self._executors[job.client] = executor  # `load` adds what comes while this one loads
            for layer, data in list(self._weights.get(job.client, {}).items()):
                executor.load_layer(layer, memoryview(data))
        return self._run(executor, job, inputs)

    def _run(self, executor: Executor, job: Job, inputs: Outputs) -> Outputs:
        live = {
            producer: tuple(tensors_from_bytes(self.graph.specs_of(producer), data))
            for producer, data in inputs.items()
        }
        values = executor.run(job.first, job.last, live)
        return {p: joined_bytes(values[p]) for p in self.outputs_of(job)}


class Memo:
    """True outputs of layers, a file for each client and input, shared by all nodes.

    Those are kept that may have to travel: a tensor larger than the query's input hardly ever does,
    and is computed when it does.
    """

    def __init__(self, graph: LayerGraph, folder: Path) -> None:
        self._folder = folder
        self._maps: dict[Path, mmap.mmap] = {}
        most_bytes = max(graph.bytes_of(INPUT), _ALWAYS_KEPT_BYTES)
        self._places: dict[int, slice] = {}
        offset = 0
        for producer in range(INPUT, len(graph)):
            size = graph.bytes_of(producer)
            if size <= most_bytes:
                self._places[producer] = slice(offset, offset + size)
                offset += size

    @property
    def kept_bytes(self) -> int:
        """Bytes of an input's file."""
        return max(place.stop for place in self._places.values())

    def keeps(self, producers: Sequence[int]) -> bool:
        """Whether the outputs of all these producers are kept."""
        return all(producer in self._places for producer in producers)

    def write(self, client: str, input_key: int, outputs: Mapping[int, Sequence[Tensor]]) -> None:
        """Keep the query's input and outputs of layers, given those of all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._path(client, input_key).open("wb") as file:
            for producer in self._places:
                file.write(joined_bytes(outputs[producer]))

    def read(self, client: str, input_key: int, producers: Sequence[int]) -> Outputs:
        """Return the outputs of these producers, mapped, not copied."""
        path = self._path(client, input_key)
        if path not in self._maps:
            with path.open("rb") as file:
                self._maps[path] = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        whole = memoryview(self._maps[path])
        return {producer: whole[self._places[producer]] for producer in producers}

    def _path(self, client: str, input_key: int) -> Path:
        return self._folder / f"{client}-{input_key}"


def split(graph: LayerGraph, producers: Sequence[int], body: bytes) -> dict[int, memoryview]:
    """Split raw bytes into the tensors of these producers.

    Raises:
        ProtocolError: a producer is named twice, or the body is not exactly as long as they are.
    """
    sizes = [graph.bytes_of(producer) for producer in producers]
    if sum(sizes) != len(body) or len(set(producers)) != len(producers):
        raise ProtocolError(f"outputs of {tuple(producers)}: {sum(sizes)} bytes, not {len(body)}")
    pieces, offset = {}, 0
    for producer, size in zip(producers, sizes, strict=True):
        pieces[producer] = memoryview(body)[offset : offset + size]
        offset += size
    return pieces


def same_tensors(
    graph: LayerGraph, producer: int, one: bytes | memoryview, other: bytes | memoryview
) -> bool:
    """Return whether two outputs of a producer are equal within floating-point tolerance."""
    specs = graph.specs_of(producer)
    try:
        torch.testing.assert_close(tensors_from_bytes(specs, one), tensors_from_bytes(specs, other))
    except (AssertionError, ProtocolError):
        return False
    return True


def _give_memory_back() -> None:
    """Return to the kernel what was freed: a pass that is made once a minute leaves 150 MB else."""
    with contextlib.suppress(AttributeError):  # a C library that has no such call
        ctypes.CDLL(None).malloc_trim(0)


def _only_when_idle() -> None:
    """Let this thread run only when nothing else wants the processor."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
