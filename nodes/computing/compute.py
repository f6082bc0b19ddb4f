"""Executing a range of layers in one of three ways, at a device's speed.

`real` computes every query in PyTorch, in the node. `memo` has computed each distinct input once,
before the run, and hands out these outputs; the machine's execution pool (`nodes.executions`)
executes the same from what is here, in time or afterwards, and compares. `profile` computes nothing
and sends zeros of the right size. In each, the caller waits until the device profile's time is
over, so the timing is the device's; but for a GPU that times itself.

A GPU is used by one process of the pool, in `real` too: a CUDA context takes hundreds of MB, and
hundreds of nodes would need one each.
"""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from nodes.computing.memo import Memo
from nodes.computing.outputs import Outputs, executed, split
from nodes.executions.handing_in import Executions
from nodes.executions.work import Work
from nodes.setup import ComputeMode
from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.executor import Executor
from testbed.dnn.placed_executor import PlacedExecutor
from testbed.dnn.target import REFERENCE, Target
from testbed.errors import ProtocolError
from testbed.gpu.stats import ServerStats

Weights = mmap.mmap | memoryview | bytes


class Job(NamedTuple):
    """Layers `first` to `last` of a client's model, for a query on one of its inputs."""

    client: str
    query: int
    input_key: int
    first: int
    last: int


class Computer:
    """One device: it holds the layers it was given, by client, and executes jobs.

    `captured` is the model's structure, without weights, `layer_s` the device's time for each
    layer, (n,) seconds. `mode` says how outputs come about; the mode `memo` finds them in `memo`.
    `target` is where it executes. `executions` is the node's tie to the execution pool, where there
    is one: the pool alone has the GPU.
    """

    def __init__(
        self,
        captured: CapturedModel,
        layer_s: npt.NDArray[np.float64],
        mode: ComputeMode,
        memo: Memo,
        target: Target = REFERENCE,
    ) -> None:
        self.graph = captured.graph
        self.mode = mode
        self.executions: Executions | None = None
        self._target = target
        self._captured = captured
        self._elapsed_s = np.concatenate(([0.0], np.cumsum(layer_s)))
        self._memo = memo
        self._weights: dict[str, dict[int, Weights]] = {}
        self._digests: dict[str, dict[int, str]] = {}
        self._executors: dict[str, Executor] = {}
        self._pool = ThreadPoolExecutor(1, "compute")

    def duration_s(self, job: Job) -> float:
        """Return the device's time for a job."""
        return float(self._elapsed_s[job.last + 1] - self._elapsed_s[job.first])

    def outputs_of(self, job: Job) -> tuple[int, ...]:
        """Return the layers of a job whose outputs are needed after it, ascending."""
        return tuple(p for p in self.graph.live(job.last + 1) if p >= job.first)

    def load(self, client: str, layer: int, digest: str, weights: Weights) -> None:
        """Hold a layer of a client's model from now on."""
        self._weights.setdefault(client, {})[layer] = weights
        self._digests.setdefault(client, {})[layer] = digest
        if client in self._executors:
            self._executors[client].load_layer(layer, memoryview(weights))

    def held_bytes(self, client: str) -> int:
        """Return the bytes of a client's layers that are held."""
        return sum(len(weights) for weights in self._weights.get(client, {}).values())

    def unload(self, client: str) -> None:
        """Forget a client's layers."""
        self._weights.pop(client, None)
        self._digests.pop(client, None)
        self._executors.pop(client, None)

    def unpack(self, producers: Sequence[int], body: memoryview, job: Job) -> dict[int, memoryview]:
        """Split a query's body into tensors; ProtocolError if they are not what the job reads."""
        if not set(producers) <= set(self.graph.reads(job.first, job.last)):
            raise ProtocolError(f"{job} does not read the outputs of {tuple(producers)}")
        return split(self.graph, producers, body)

    @property
    def execute_share(self) -> float:
        """The share of queries that the pool has time for; 0 where nothing is replayed."""
        if self.mode != "memo" or self.executions is None:
            return 0.0
        return self.executions.share

    async def execute(self, job: Job, inputs: Outputs, due_s: float | None = None) -> Outputs:
        """Return the outputs of a job; takes as long as it takes.

        With `due_s`, on the monotonic clock, they are computed if that is done by then, else
        replayed. Raises ProtocolError if tensors or weights that it reads are missing.
        """
        outputs = self.outputs_of(job)
        if self.mode == "profile":
            return {p: memoryview(bytes(self.graph.bytes_of(p))) for p in outputs}
        if self.mode == "memo":
            kept = self._memo.keeps(outputs)
            if not kept or due_s is not None:
                found = await self._executed(job, inputs, due_s if kept else None, replayed=kept)
                if found is not None:
                    return split(self.graph, outputs, found)
            if kept:
                return self._memo.read(job.client, job.input_key, outputs)
        if self._target.device != "cpu":
            found = await self._executed(job, inputs, None, replayed=False)
            if found is None:
                raise ProtocolError("the execution pool, which has the GPU, takes no more work")
            return split(self.graph, outputs, found)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._compute, job, inputs)

    def check(self, job: Job, inputs: Outputs) -> None:
        """Have a job that was replayed executed, when there is time, and compared."""
        if self.executions is not None and self._memo.keeps(self.outputs_of(job)):
            work = self._work(job, replayed=True)
            self.executions.hand_in(work, self._held(job), self._read_by(job, inputs))

    def check_answer(self, job: Job, inputs: Outputs, answer: Outputs) -> None:
        """Have a whole query executed once more, and compared with the answer that it got."""
        if self.executions is not None:
            work = self._work(job, whole=True)
            self.executions.hand_in(work, self._held(job), self._read_by(job, inputs), answer)

    async def _executed(
        self, job: Job, inputs: Outputs, due_s: float | None, *, replayed: bool
    ) -> bytes | None:
        """Return what the execution pool computes; None if there is none, or it is not in time."""
        if self.executions is None:
            return None
        work = self._work(job, due_s=due_s, urgent=due_s is None, replayed=replayed)
        return await self.executions.outputs(work, self._held(job), self._read_by(job, inputs))

    def _work(self, job: Job, **how: Any) -> Work:
        return Work(*job, device=self._target.device, precision=self._target.precision, **how)

    def gpu_load(self) -> ServerStats | None:
        """Return the latest load of this machine's GPU; None if it has none, or cannot be asked."""
        return None if self.executions is None else self.executions.gpu_load()

    def _held(self, job: Job) -> dict[int, str]:
        """Return the digests of what is here of the weights that a job reads."""
        needed = self.graph.weight_owners(job.first, job.last)
        held = self._digests.get(job.client, {})
        return {layer: digest for layer, digest in held.items() if layer in needed}

    def _read_by(self, job: Job, inputs: Outputs) -> Outputs:
        return {p: inputs[p] for p in self.graph.reads(job.first, job.last) if p in inputs}

    def _compute(self, job: Job, inputs: Outputs) -> Outputs:
        executor = self._executors.get(job.client)
        if executor is None:
            executor = PlacedExecutor(self._captured.without_weights(), self._target)
            self._executors[job.client] = executor  # `load` adds what comes while this one loads
            for layer, data in list(self._weights.get(job.client, {}).items()):
                executor.load_layer(layer, memoryview(data))
        return executed(executor, self.graph, job.first, job.last, inputs)
