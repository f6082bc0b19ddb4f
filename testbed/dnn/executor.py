"""Runs a captured model's layers, whole or a range at a time, wherever the weights are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.graph import INPUT
from testbed.dnn.operations import tensors_in
from testbed.dnn.tensors import Values, joined_bytes, tensors_from_bytes
from testbed.errors import ProtocolError


class Executor:
    """Executes a captured model.

    It computes with the weights of the captured module. With `captured.without_weights()` it starts
    with none, as an edge server does, and `load_layer` brings them one layer at a time. Executors
    that shall hold different weights need a `without_weights()` each.
    """

    def __init__(self, captured: CapturedModel) -> None:
        self._captured = captured
        self._graph = captured.graph
        self._readers = [
            (captured.module.get_submodule(str(node.target)) if node.op == "call_module" else None)
            for node in captured.steps
        ]

    @torch.inference_mode()
    def run(self, first: int, last: int, live: Values) -> dict[int, tuple[Tensor, ...]]:
        """Execute layers `first` to `last` inclusive and return the tensors that are live after.

        `live` needs those of `graph.reads(first, last)`; what else it holds is passed on while it
        is live. Raises ProtocolError if a tensor that a layer reads, or a layer's weights, are
        missing.
        """
        values = dict(live)
        for index in range(first, last + 1):
            values[index] = self.run_layer(index, values)
        return {p: values[p] for p in self._graph.live(last + 1) if p in values}

    @torch.inference_mode()
    def run_all(self, *inputs: Tensor) -> dict[int, tuple[Tensor, ...]]:
        """Return the query's input and the output of every layer."""
        values: dict[int, tuple[Tensor, ...]] = {INPUT: inputs}
        for index in range(len(self._graph)):
            values[index] = self.run_layer(index, values)
        return values

    def query(self, *inputs: Tensor) -> Any:
        """Return the model's answer to a query, all layers executed here."""
        last = len(self._graph) - 1
        return self.answer({INPUT: inputs} | self.run(0, last, {INPUT: inputs}))

    def answer(self, values: Values) -> Any:
        """Return what the module would return, from the outputs of `graph.outputs`."""
        tensors = [self._tensor(node, values) for node in self._captured.answer_nodes]
        return self._captured.build_answer(tensors)

    def weights(self, index: int) -> list[Tensor]:
        """Return the tensors of a layer's weights in the order of its specs."""
        return [_attribute(self._captured.module, paths[0]) for paths in self._paths(index)]

    def is_loaded(self, index: int) -> bool:
        """Whether all weights that a layer reads are here."""
        owners = (index, *self._graph.layers[index].weights_of)
        return not any(tensor.is_meta for owner in owners for tensor in self.weights(owner))

    def layer_weights(self, index: int) -> memoryview:
        """Return a layer's weights as exactly `weight_bytes` bytes, its tensors in spec order."""
        self._check_loaded(index)
        return joined_bytes(self.weights(index))

    def load_layer(self, index: int, buffer: bytes | bytearray | memoryview) -> None:
        """Set a layer's weights from what `layer_weights` returned; the buffer is used, not copied.

        Raises ProtocolError if its length is not the layer's `weight_bytes`.
        """
        self._set_weights(index, tensors_from_bytes(self._graph.layers[index].weights, buffer))

    def _set_weights(self, index: int, tensors: Sequence[Tensor]) -> None:
        for paths, tensor in zip(self._paths(index), tensors, strict=True):
            for path in paths:
                _set_attribute(self._captured.module, path, tensor)

    def run_layer(self, index: int, values: Values) -> tuple[Tensor, ...]:
        """Return the output of one layer; called in `torch.inference_mode()`, as `run` does.

        Raises ProtocolError if a tensor that it reads, or its weights, are missing.
        """
        self._check_loaded(index)
        node, module = self._captured.steps[index], self._readers[index]
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: self._tensor(n, values))
        operation = module if module is not None else node.target
        result = operation(*args, **kwargs)  # type: ignore[operator]  # a call_function's target
        return tuple(tensors_in(result))

    def _paths(self, index: int) -> tuple[tuple[str, ...], ...]:
        return self._captured.weight_paths[index]

    def _tensor(self, node: fx.Node, values: Values) -> Tensor:
        """The tensor that a node of the recorded graph stands for."""
        if node.op == "get_attr":
            name = str(node.target)
            constant = self._constant(name)
            return constant if constant is not None else _attribute(self._captured.module, name)
        step, position = node.args
        producer = self._captured.producers[step]  # type: ignore[index]
        if producer not in values:
            what = "query's input" if producer == INPUT else self._graph.layers[producer].name
            raise ProtocolError(f"model {self._graph.model!r}: the output of {what!r} is missing")
        return values[producer][position]  # type: ignore[index]

    def _constant(self, name: str) -> Tensor | None:
        return self._captured.constants.get(name)

    def _check_loaded(self, index: int) -> None:
        if not self.is_loaded(index):
            name = self._graph.layers[index].name
            raise ProtocolError(f"model {self._graph.model!r}: layer {name!r} has no weights here")


def _attribute(module: nn.Module, path: str) -> Tensor:
    owner, _, name = path.rpartition(".")
    tensor = getattr(module.get_submodule(owner), name)
    assert isinstance(tensor, Tensor)
    return tensor


def _set_attribute(module: nn.Module, path: str, tensor: Tensor) -> None:
    owner_path, _, name = path.rpartition(".")
    owner = module.get_submodule(owner_path)
    is_parameter = name in dict(owner.named_parameters(recurse=False))
    setattr(owner, name, nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor)
