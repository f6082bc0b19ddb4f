"""Executing a range of layers in one of three ways, at a device's speed.

`real` computes every query in PyTorch. `memo` has computed each distinct input once, before the
run, and hands out the true outputs. `profile` computes nothing and sends zeros of the right size.
In each, the caller waits until the device profile's time is over, so the timing is the device's.
"""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from nodes.computing.apart import Apart
from nodes.computing.memo import Memo, Outputs
from nodes.computing.repetition import Repetitions
from nodes.setup import ComputeMode
from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.executor import Executor
from testbed.dnn.graph import LayerGraph
from testbed.dnn.tensors import joined_bytes, tensors_from_bytes
from testbed.errors import ProtocolError

Weights = mmap.mmap | memoryview | bytes


class Job(NamedTuple):
    """Layers `first` to `last` of a client's model, on one of its inputs."""

    client: str
    input_key: int
    first: int
    last: int


class Computer:
    """One device: it holds the layers it was given, by client, and executes jobs.

    `captured` is the model's structure, without weights, `layer_s` the device's time for each
    layer, (n,) seconds. `mode` says how outputs come about; the mode `memo` finds them in `memo`,
    and all who have its folder take turns at repeating executions.
    """

    def __init__(
        self,
        captured: CapturedModel,
        layer_s: npt.NDArray[np.float64],
        mode: ComputeMode,
        memo: Memo,
    ) -> None:
        self.graph = captured.graph
        self.mode = mode
        self._captured = captured
        self._elapsed_s = np.concatenate(([0.0], np.cumsum(layer_s)))
        self._memo = memo
        self._weights: dict[str, dict[int, Weights]] = {}
        self._executors: dict[str, Executor] = {}
        self._pool = ThreadPoolExecutor(1, "compute")
        self.repetitions = Repetitions(memo.folder / "repeating", self._pool)

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

    def unpack(self, producers: Sequence[int], body: memoryview, job: Job) -> dict[int, memoryview]:
        """Split a query's body into tensors; ProtocolError if they are not what the job reads."""
        if not set(producers) <= set(self.graph.reads(job.first, job.last)):
            raise ProtocolError(f"{job} does not read the outputs of {tuple(producers)}")
        return split(self.graph, producers, body)

    async def execute(self, job: Job, inputs: Outputs) -> Outputs:
        """Return the outputs of a job; takes as long as it takes."""
        outputs = self.outputs_of(job)
        if self.mode == "memo" and self._memo.keeps(outputs):
            return self._memo.read(job.client, job.input_key, outputs)
        if self.mode == "profile":
            return {p: memoryview(bytes(self.graph.bytes_of(p))) for p in outputs}
        loop = asyncio.get_running_loop()
        computed = self._compute if self.mode == "real" else self._compute_apart
        return await loop.run_in_executor(self._pool, computed, job, inputs)

    async def repeat_and_compare(self, job: Job, inputs: Outputs, outputs: Outputs) -> bool | None:
        """Execute a job once more and say whether it gives these outputs; None if not repeated.

        It uses the weights that are here at the call, also if they are discarded meanwhile.
        """
        weights = self._weights_for(job)

        def compare() -> bool:
            again = self._run_afresh(job, inputs, weights)
            return all(same_tensors(self.graph, p, again[p], outputs[p]) for p in again)

        return await self.repetitions.make(compare)

    def _compute_apart(self, job: Job, inputs: Outputs) -> Outputs:
        weights = self._weights_for(job)
        outputs = self.outputs_of(job)

        def compute() -> bytes:
            found = self._run_afresh(job, inputs, weights)
            return b"".join(found[producer] for producer in outputs)

        return split(self.graph, outputs, Apart(compute).returned())

    def _weights_for(self, job: Job) -> dict[int, Weights]:
        """Return the weights that are here of those that a job reads."""
        executed = range(job.first, job.last + 1)
        needed = set(executed).union(*(self.graph.layers[i].weights_of for i in executed))
        held = self._weights.get(job.client, {})
        return {layer: data for layer, data in list(held.items()) if layer in needed}

    def _run_afresh(self, job: Job, inputs: Outputs, weights: Mapping[int, Weights]) -> Outputs:
        executor = Executor(self._captured.without_weights())
        for layer, data in weights.items():
            executor.load_layer(layer, memoryview(data))
        return self._run(executor, job, inputs)

    def _compute(self, job: Job, inputs: Outputs) -> Outputs:
        executor = self._executors.get(job.client)
        if executor is None:
            executor = Executor(self._captured.without_weights())
            self._executors[job.client] = executor  # `load` adds what comes while this one loads
            for layer, data in list(self._weights.get(job.client, {}).items()):
                executor.load_layer(layer, memoryview(data))
        return self._run(executor, job, inputs)

    def _run(self, executor: Executor, job: Job, inputs: Outputs) -> Outputs:
        specs = self.graph.specs_of
        live = {p: tuple(tensors_from_bytes(specs(p), data)) for p, data in inputs.items()}
        values = executor.run(job.first, job.last, live)
        return {p: joined_bytes(values[p]) for p in self.outputs_of(job)}


def split(
    graph: LayerGraph, producers: Sequence[int], body: bytes | memoryview
) -> dict[int, memoryview]:
    """Split raw bytes into the tensors of these producers.

    Raises ProtocolError if one is named twice, or the body is not exactly as long as they are.
    """
    sizes = [graph.bytes_of(producer) for producer in producers]
    if sum(sizes) != len(body) or len(set(producers)) != len(producers):
        raise ProtocolError(f"outputs of {tuple(producers)}: {sum(sizes)} bytes, not {len(body)}")
    whole, ends = memoryview(body), pairwise(accumulate(sizes, initial=0))
    return {p: whole[start:end] for p, (start, end) in zip(producers, ends, strict=True)}


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
