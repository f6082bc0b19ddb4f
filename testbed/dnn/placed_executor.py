"""Runs a captured model's layers on another device, or less precisely; nobody else sees it."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.folding import Chain
from testbed.dnn.fused_executor import Convolve, FusedExecutor
from testbed.dnn.target import REFERENCE, Target, torch_device
from testbed.dnn.tensors import Values


class PlacedExecutor(FusedExecutor):
    """A `FusedExecutor` whose layers are executed at a target.

    Tensors are cast and moved where a range of layers begins and ends: outside of it they are on
    the processors and of the graph's types, so what travels is always the same. Weights are cast
    and moved once, when they are first used; chains are folded before that, as precisely as ever.
    The module's weights are replaced: executors need one each.
    """

    def __init__(self, captured: CapturedModel, target: Target = REFERENCE) -> None:
        super().__init__(captured)
        self._target = target
        here = target.device == "cpu"
        self._where: AbstractContextManager[object] = (
            nullcontext() if here else torch_device(target.device)
        )
        self._originals: dict[int, list[Tensor]] = {}  # of layers whose weights were moved
        self._constants: dict[str, Tensor] = {}

    def load_layer(self, index: int, buffer: bytes | bytearray | memoryview) -> None:
        """Set a layer's weights; what was made of earlier ones is dropped."""
        self._originals.pop(index, None)
        super().load_layer(index, buffer)

    @torch.inference_mode()
    def run(
        self, first: int, last: int, live: Values, also: Collection[int] = ()
    ) -> dict[int, tuple[Tensor, ...]]:
        """Execute layers `first` to `last` inclusive; as `FusedExecutor.run`."""
        there = {p: tuple(map(self._target.placed, tensors)) for p, tensors in live.items()}
        with self._where:  # for tensors that layers make of nothing
            found = super().run(first, last, there, also)
        return {p: live[p] if p in live else self._back(p, found[p]) for p in found}

    def run_layer(self, index: int, values: Values) -> tuple[Tensor, ...]:
        """Return the output of one layer, at the target, as `values` are."""
        if self._target != REFERENCE:
            for owner in (index, *self._graph.layers[index].weights_of):
                self._move_weights(owner)
        return super().run_layer(index, values)

    def _prepare(self, index: int, chain: Chain, read: Tensor) -> Convolve:
        for layer in chain.layers:
            if (originals := self._originals.pop(layer, None)) is not None:
                self._set_weights(layer, originals)
        return super()._prepare(index, chain, read)

    def _constant(self, name: str) -> Tensor | None:
        if name not in self._constants and (constant := super()._constant(name)) is not None:
            self._constants[name] = self._target.placed(constant)
        return self._constants.get(name)

    def _move_weights(self, index: int) -> None:
        if index not in self._originals and self.is_loaded(index):
            originals = self._originals[index] = self.weights(index)
            self._set_weights(index, [self._target.placed(each) for each in originals])

    def _back(self, producer: int, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        pairs = zip(self._graph.specs_of(producer), tensors, strict=True)
        return tuple(tensor.to("cpu", getattr(torch, spec.dtype)) for spec, tensor in pairs)
