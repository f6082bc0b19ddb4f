"""What a model is to the testbed: its layers, what they read, and how many bytes they hold.

A `LayerGraph` is the "DNN profile" that a client sends to the master (section III.B): types and
hyperparameters of the layers, and no weights. It holds no tensors and needs no deep-learning
framework, so the master and the simulator read it as it came off the wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from math import prod
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

INPUT = -1  # stands for the query's input wherever a producing layer's index is expected

_TYPES_OF_BYTES = {
    1: "bool uint8 int8",
    2: "int16 float16 bfloat16",
    4: "int32 float32",
    8: "int64 float64 complex64",
}
ITEM_BYTES = {name: size for size, names in _TYPES_OF_BYTES.items() for name in names.split()}

Hyperparameter = bool | int | float | str | tuple[int, ...]


class TensorSpec(msgspec.Struct, frozen=True):
    """Name, shape and element type ("float32", ...) of one tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        if self.dtype not in ITEM_BYTES:
            raise ValueError(f"tensor {self.name!r} has unknown element type {self.dtype!r}")
        if any(length < 0 for length in self.shape):
            raise ValueError(f"tensor {self.name!r} has a negative length in shape {self.shape}")

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor's elements."""
        return prod(self.shape) * ITEM_BYTES[self.dtype]


class Layer(msgspec.Struct, frozen=True):
    """One step of a model's execution.

    `inputs` are the indices of the layers whose outputs it reads, `INPUT` for the query's input; a
    layer that computes from its weights alone has none. `weights` and `outputs` are in the order in
    which their bytes travel. Weights that several layers read belong to the first of them, which
    the others name in `weights_of`.
    """

    name: str
    kind: str  # Caffe's name of the type where it has one ("Convolution"), else PyTorch's
    inputs: tuple[int, ...]
    weight_bytes: int
    output_bytes: int
    weights: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    weights_of: tuple[int, ...] = ()
    multiply_adds: int = 0
    hyperparameters: dict[str, Hyperparameter] = {}


class LayerGraph(msgspec.Struct, frozen=True, dict=True):
    """A model's layers in topological order; they execute one after the other in this order.

    `outputs` are the layers whose results are the answer to a query, the last layer among them.
    Boundary `b`, in 0..n, lies before layer `b`; boundary n lies after the last layer. Raises
    ValueError without layers, for one that reads a later one, or for a negative size.
    """

    model: str
    layers: tuple[Layer, ...]
    inputs: tuple[TensorSpec, ...]
    input_bytes: int
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise ValueError(f"model {self.model!r} has no layers")
        if len(self.layers) - 1 not in self.outputs:
            raise ValueError(f"model {self.model!r}: its last layer is not among its outputs")
        for index, layer in enumerate(self.layers):
            _check_layer(index, layer)
        if self.input_bytes < 0 or not all(0 <= i < len(self.layers) for i in self.outputs):
            raise ValueError(f"model {self.model!r}: input_bytes or outputs out of range")

    def __len__(self) -> int:
        return len(self.layers)

    @cached_property
    def weight_bytes(self) -> npt.NDArray[np.int64]:
        """Bytes of each layer's weights, (n,)."""
        return np.array([layer.weight_bytes for layer in self.layers], dtype=np.int64)

    @cached_property
    def output_bytes(self) -> npt.NDArray[np.int64]:
        """Bytes of each layer's output, (n,)."""
        return np.array([layer.output_bytes for layer in self.layers], dtype=np.int64)

    @cached_property
    def edges(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Producers and consumers of all edges, (m,) each; producer `INPUT` is the query's input.

        The answer's consumer is the index n: whatever happens after the last layer.
        """
        pairs = [(p, q) for q, layer in enumerate(self.layers) for p in layer.inputs]
        pairs += [(p, len(self)) for p in self.outputs]
        producers, consumers = np.array(pairs, dtype=np.int64).T
        return producers, consumers

    @cached_property
    def derived(self) -> dict[str, Any]:
        """What the algorithms compute from the graph alone and keep with it, by their names."""
        return {}

    @cached_property
    def weight_sharing(self) -> tuple[tuple[int, int], ...]:
        """(layer, owner) for each layer that reads weights which belong to another one."""
        return tuple(
            (i, owner) for i, layer in enumerate(self.layers) for owner in layer.weights_of
        )

    @cached_property
    def last_use(self) -> dict[int, int]:
        """Producer -> the last boundary before which its output is still needed."""
        last: dict[int, int] = {}
        for producer, consumer in zip(*(ends.tolist() for ends in self.edges), strict=True):
            last[producer] = max(last.get(producer, producer), consumer)
        return last

    def live(self, boundary: int) -> tuple[int, ...]:
        """Producers (`INPUT` included) of the tensors needed after `boundary`, ascending."""
        return tuple(p for p, last in sorted(self.last_use.items()) if p < boundary <= last)

    def reads(self, first: int, last: int) -> tuple[int, ...]:
        """Producers before layer `first` whose tensors layers `first` to `last` read, ascending."""
        read = {p for layer in self.layers[first : last + 1] for p in layer.inputs}
        return tuple(sorted(p for p in read if p < first))

    def weight_owners(self, first: int, last: int) -> set[int]:
        """The layers to which weights may belong that layers `first` to `last` read."""
        read = self.layers[first : last + 1]
        return set(range(first, last + 1)).union(*(layer.weights_of for layer in read))

    @cached_property
    def live_bytes(self) -> npt.NDArray[np.int64]:
        """Bytes of the tensors that are live at each boundary, (n + 1,)."""
        change = np.zeros(len(self) + 2, dtype=np.int64)
        for producer, last in self.last_use.items():
            size = self.bytes_of(producer)
            change[producer + 1] += size
            change[last + 1] -= size
        return np.cumsum(change)[:-1]

    def bytes_of(self, producer: int) -> int:
        """Bytes of a layer's output, or of the query's input for `INPUT`."""
        return self.input_bytes if producer == INPUT else self.layers[producer].output_bytes

    def specs_of(self, producer: int) -> tuple[TensorSpec, ...]:
        """The tensors of a layer's output, or of the query's input for `INPUT`."""
        return self.inputs if producer == INPUT else self.layers[producer].outputs

    def input_bytes_of(self, index: int) -> int:
        """Bytes of all tensors that layer `index` reads, weights not counted."""
        return sum(self.bytes_of(producer) for producer in self.layers[index].inputs)


def stretches(mask: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield (first, last) of each longest run of consecutive true entries, ascending."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield first, end - 1


def _check_layer(index: int, layer: Layer) -> None:
    if not all(INPUT <= producer < index for producer in layer.inputs):
        raise ValueError(f"layer {layer.name!r} (index {index}) reads layers {layer.inputs}")
    if not all(0 <= owner < index for owner in layer.weights_of):
        raise ValueError(f"layer {layer.name!r} shares weights of layers {layer.weights_of}")
    if layer.weight_bytes < 0 or layer.output_bytes < 0:
        raise ValueError(f"layer {layer.name!r} has a negative number of bytes")
