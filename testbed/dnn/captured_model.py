"""A captured model: a module with its layer graph, and how PyTorch computes each layer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from testbed.dnn.graph import LayerGraph
from testbed.errors import ModelError


@dataclass(frozen=True)
class CapturedModel:
    """A module with its layer graph and, for each layer, how PyTorch computes it.

    A layer's value is the tuple of tensors that it computes, most often of one; `steps` are the
    nodes that compute it, and `producers` is the layer (`INPUT` for the query) of each such node.
    `weight_paths` are the attributes of `module` that hold each layer's weights, in the order of
    its specs, each with all names of a tensor that the module holds under several. `answer_nodes`
    name the tensors of which `build_answer` makes what the module returns.
    """

    graph: LayerGraph
    module: nn.Module
    steps: tuple[fx.Node, ...]
    producers: dict[fx.Node, int]
    constants: dict[str, Tensor]
    weight_paths: tuple[tuple[tuple[str, ...], ...], ...]
    answer_nodes: tuple[fx.Node, ...]
    build_answer: Callable[[Sequence[Tensor]], Any]

    def with_weights_of(self, module: nn.Module) -> CapturedModel:
        """Return the same model with the weights of a module that is built alike."""
        return replace(self, module=prepared(module))

    def without_weights(self) -> CapturedModel:
        """Return the same model, to be filled layer by layer, with no memory spent on weights."""
        return replace(self, module=without_weights(self.module))


def without_weights(module: nn.Module) -> nn.Module:
    """Return a copy of a module on PyTorch's "meta" device; tied weights stay tied.

    Raises ModelError if the module holds what cannot be copied.
    """
    return copy_with(module, lambda tensor: torch.empty_like(tensor, device="meta"))


def prepared(module: nn.Module) -> nn.Module:
    """Put a module into evaluation mode, and keep its modules from changing inputs in place."""
    module.eval()
    for part in module.modules():
        if getattr(part, "inplace", False):
            part.inplace = False  # type: ignore[assignment]  # a plain attribute, as of nn.ReLU
    return module


def copy_with(module: nn.Module, make: Callable[[Tensor], Tensor]) -> nn.Module:
    """Copy a module with other tensors in place of its weights; tied weights stay tied."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(make(parameter.detach()), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = make(buffer)
    try:
        return copy.deepcopy(module, memo)
    except Exception as error:
        raise ModelError(f"a {type(module).__name__} cannot be copied: {error}") from error
