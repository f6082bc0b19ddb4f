"""A process of the execution pool: it executes one piece of work after the other.

A client's weights are loaded once, and prepared once (`testbed.dnn.fused_executor`), on a GPU too;
who has queried longest ago goes first where memory is short.
"""

from __future__ import annotations

import logging
import mmap
import os
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch

from nodes.computing import heap
from nodes.computing.memo import Memo
from nodes.computing.outputs import Outputs, executed, same_tensors
from nodes.executions.work import (
    MAX_MESSAGE_BYTES,
    Content,
    Done,
    Work,
    read_content,
    write_outputs,
)
from testbed.dnn import target
from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.placed_executor import PlacedExecutor
from testbed.dnn.target import Device, Target
from testbed.errors import ProtocolError

_MAX_CHARACTERS = 1000  # of a failure, which has to fit a message
_GPU_SHARE = 0.6  # of a GPU's memory that is free at first; tensors need some as well

_log = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(Work)


@dataclass
class _Loaded:
    """A client's model at a target, as far as it was needed."""

    executor: PlacedExecutor
    digests: dict[int, str] = field(default_factory=dict)


class Worker:
    """Executes work whose files lie in `folder`, with weights from `pool`, a file for each digest.

    `captured` is the model's structure; `memo` has what was computed before the run. The models of
    all clients together hold at most `most_bytes` of weights, but for one that needs more.
    """

    def __init__(
        self, captured: CapturedModel, memo: Memo, folder: Path, pool: Path, most_bytes: float
    ) -> None:
        self._captured = captured
        self._graph = captured.graph
        self._memo = memo
        self._folder = folder
        self._pool = pool
        self._most_bytes = most_bytes
        self._models: OrderedDict[tuple[str, Target], _Loaded] = OrderedDict()

    def serve(self, channel: int, device: Device) -> None:
        """Execute what comes over a socket until its other end closes; in a fork.

        One that has the GPU says when it can use it.
        """
        torch.set_num_threads(1)  # OpenMP's other threads are not in it
        heap.keep_large_blocks()
        if device != "cpu":
            self._most_bytes = target.begin(device) * _GPU_SHARE
            os.write(channel, msgspec.json.encode(Done(0)))
        while message := os.read(channel, MAX_MESSAGE_BYTES):
            work = _decoder.decode(message)
            os.write(channel, msgspec.json.encode(self.carry_out(work)))

    def carry_out(self, work: Work) -> Done:
        """Execute and compare; whatever is wrong with the work is told, not raised."""
        began_s = time.thread_time()
        try:
            content = read_content(self._folder / work.file)
            outputs, device = self._execute(work, content)
            equal = self._is_equal(work, content, outputs)
        except (OSError, ProtocolError) as error:
            _log.exception("%s, query %d", work.client, work.query)
            return Done(work.number, equal=False, failure=str(error)[:_MAX_CHARACTERS])
        file = None
        if work.due_s is not None or work.urgent:
            file = f"{work.file}-outputs"
            write_outputs(self._folder / file, list(outputs.values()))
        return Done(work.number, file, equal, None, time.thread_time() - began_s, device)

    def _execute(self, work: Work, content: Content) -> tuple[Outputs, Device]:
        """Return the outputs, and what executed it: the processors where a GPU's memory is full."""
        try:
            return self._execute_at(work.target, work, content), work.target.device
        except torch.OutOfMemoryError as error:
            _log.warning("the GPU's memory is full, the processors execute: %s", error)
        self._models.clear()
        torch.cuda.empty_cache()
        return self._execute_at(work.target._replace(device="cpu"), work, content), "cpu"

    def _execute_at(self, where: Target, work: Work, content: Content) -> Outputs:
        executor = self._model(where, work, content.weights)
        return executed(executor, self._graph, work.first, work.last, content.reads)

    def _is_equal(self, work: Work, content: Content, outputs: Outputs) -> bool:
        if work.whole:
            expected: Outputs = content.answer
        elif work.replayed:
            expected = self._memo.read(work.client, work.input_key, list(outputs))
        else:
            return True
        return all(
            same_tensors(self._graph, p, outputs[p], data, work.precision)
            for p, data in expected.items()
        )

    def _model(self, where: Target, work: Work, weights: dict[int, str]) -> PlacedExecutor:
        """Return the client's model at a target, with the weights that the node holds."""
        for layer in self._graph.weight_owners(work.first, work.last):
            if self._graph.weight_bytes[layer] and layer not in weights:
                name = self._graph.layers[layer].name
                raise ProtocolError(f"layer {name!r} has no weights at who executes it")
        loaded = self._models.pop((work.client, where), None)
        if loaded is None:
            loaded = _Loaded(PlacedExecutor(self._captured.without_weights(), where))
        self._models[work.client, where] = loaded
        for layer, digest in weights.items():
            if loaded.digests.get(layer) != digest:
                loaded.executor.load_layer(layer, self._read(digest))
                loaded.digests[layer] = digest
        while len(self._models) > 1 and self._held_bytes() > self._most_bytes:
            self._models.popitem(last=False)
        return loaded.executor

    def _read(self, digest: str) -> memoryview:
        with (self._pool / digest).open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))

    def _held_bytes(self) -> int:
        sizes = self._graph.weight_bytes
        return sum(int(sizes[layer]) for each in self._models.values() for layer in each.digests)
