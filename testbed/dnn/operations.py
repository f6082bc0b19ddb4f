"""What a PyTorch operation is called, whether it can be a layer, and how much it computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from testbed.dnn.graph import Hyperparameter

Operation = nn.Module | Callable[..., Any]

# Caffe's types that the published profiles know, by their names in PyTorch; others keep theirs
_TYPES = {
    "Convolution": "Conv1d Conv2d Conv3d conv1d conv2d conv3d",
    "Deconvolution": "ConvTranspose2d conv_transpose2d",
    "InnerProduct": "Linear linear",
    "BatchNorm": "BatchNorm1d BatchNorm2d BatchNorm3d batch_norm",
    "ReLU": "ReLU6 relu relu_ relu6 hardtanh",
    "Pooling": "MaxPool2d AvgPool2d AdaptiveAvgPool2d AdaptiveMaxPool2d"
    " max_pool2d avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d"
    " boolean_dispatch",  # PyTorch's name for the functions behind max_pool2d
    "Concat": "cat concat stack",
    "Eltwise": "add add_ sub mul",
    "Softmax": "softmax",
    "MatMul": "matmul bmm",
}
_KINDS = {name: kind for kind, names in _TYPES.items() for name in names.split()}

# PyTorch attribute -> Caffe's name; square sizes are given as one number
_HYPERPARAMETERS = {
    "out_channels": "num_output",
    "out_features": "num_output",
    "kernel_size": "kernel",
    "stride": "stride",
    "padding": "pad",
    "groups": "group",
} | {
    name: name
    for name in (
        *("dilation", "embed_dim", "num_heads", "hidden_size", "num_layers"),
        *("num_embeddings", "embedding_dim", "normalized_shape"),
    )
}
_AT_ONE = ("dilation",)  # left out where they have no effect

# These make Python values of a tensor's elements: what follows would depend on the query
_LEAVES_TORCH = {"item", "tolist", "numpy", "array", "bool", "int", "float", "index", "complex"}
_LEAVES_TORCH |= {"contains", "equal", "allclose", "is_nonzero"}
# The shape of what these return depends on the query
_SHAPED_BY_DATA = {"nonzero", "argwhere", "masked_select", "unique", "unique_consecutive"}
_SHAPED_BY_DATA |= {"bincount"}


def operation_name(operation: Operation) -> str:
    """Return PyTorch's name: the class of a module, the bare name of a function."""
    if isinstance(operation, nn.Module):
        return type(operation).__name__
    name = getattr(operation, "__name__", type(operation).__name__)
    if name in ("__get__", "__set__"):  # a tensor's attribute, such as x.T
        name = getattr(getattr(operation, "__self__", None), "__name__", name)
    name = name.strip("_") if name.startswith("__") else name
    return name.removeprefix("r") if name in ("radd", "rmul", "rsub") else name


def obstacle(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    varies: Callable[[Tensor], bool],
) -> str | None:
    """Return why a call cannot be a layer, or None if nothing in its arguments forbids it.

    `varies` says whether a tensor's elements differ between queries or between clients.
    """
    name = operation_name(function)
    if name in _LEAVES_TORCH:
        return "turns a tensor into a Python value, so the layers would depend on the query"
    if name in _SHAPED_BY_DATA or _is_shaped_by_arguments(name, args, kwargs, varies):
        return "returns a tensor whose shape depends on the query"
    if name in ("getitem", "setitem"):
        index = tree_leaves(args[1])
        if name == "getitem" and any(i.dtype == torch.bool for i in tensors_in(index)):
            return "selects by a mask, so the shape of its result depends on the query"
        slices = [(i.start, i.stop, i.step) for i in index if isinstance(i, slice)]
        if any(varies(bound) for bound in tensors_in(slices)):
            return "takes a slice whose bounds depend on the query"
    if kwargs.get("out") is not None:
        return "writes into its argument out=, which a layer cannot; use what it returns"
    return None


def _is_shaped_by_arguments(
    name: str, args: Sequence[Any], kwargs: Mapping[str, Any], varies: Callable[[Tensor], bool]
) -> bool:
    """Whether an operation that may have a fixed shape has none with these arguments."""
    if name == "where":
        return len(args) + len(kwargs) == 1
    if name == "one_hot":
        return bool(kwargs.get("num_classes", args[1] if len(args) > 1 else -1) == -1)
    if name == "repeat_interleave" and kwargs.get("output_size") is None:
        repeats = kwargs.get("repeats", args[:2][-1] if args else None)  # may be the only argument
        return isinstance(repeats, Tensor) and varies(repeats)
    return False


def tensors_in(tree: Any) -> list[Tensor]:
    """Return the tensors in nested tuples, lists and dictionaries."""
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def kind_of(operation: Operation) -> str:
    """Return the layer type of a module or function."""
    name = operation_name(operation)
    return _KINDS.get(name, name)


def hyperparameters_of(operation: Operation) -> dict[str, Hyperparameter]:
    """Return a module's hyperparameters; a function has none."""
    found: dict[str, Hyperparameter] = {}
    for attribute, name in _HYPERPARAMETERS.items() if isinstance(operation, nn.Module) else ():
        value = getattr(operation, attribute, None)
        if isinstance(value, (tuple, list)):
            value = value[0] if len(set(value)) == 1 else tuple(value)
        if value is not None and not (name in _AT_ONE and value == 1):
            found[name] = value
    return found


def multiply_adds(
    operation: Operation,
    inputs: Sequence[Tensor],
    weights: Sequence[Tensor],
    outputs: Sequence[Tensor],
) -> int:
    """Return how many multiply-adds the operation takes; one an output element if unknown.

    A window's elements count for pooling; each weight of a recurrent or attention module counts
    once a position.
    """
    elements = sum(tensor.numel() for tensor in outputs)
    kind = kind_of(operation)
    matrices = [tensor for tensor in (*inputs, *weights) if tensor.dim() > 1]
    if kind in ("Convolution", "InnerProduct") and matrices:
        return elements * prod(matrices[-1].shape[1:])  # weight: (outputs, inputs a group, window)
    if kind == "Deconvolution" and matrices:
        return inputs[0].numel() * prod(matrices[-1].shape[1:])
    if kind == "MatMul" and inputs:
        return elements * inputs[0].shape[-1]
    if kind == "Pooling":
        return elements * _window(operation, inputs, outputs)
    if kind in ("LSTM", "GRU", "RNN", "MultiheadAttention") and inputs:
        positions = inputs[0].numel() // inputs[0].shape[-1]
        return positions * sum(tensor.numel() for tensor in weights)
    return elements


def _window(operation: Operation, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> int:
    size = getattr(operation, "kernel_size", None)
    if size is None:  # adaptive or functional: the input is shared out among the outputs
        return max(1, inputs[0].numel() // max(1, outputs[0].numel()))
    return size**2 if isinstance(size, int) else prod(size)
