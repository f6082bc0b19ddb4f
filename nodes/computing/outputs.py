"""Outputs of layers as the raw bytes that travel: cutting them apart, and comparing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from testbed.dnn.executor import Executor
from testbed.dnn.graph import LayerGraph
from testbed.dnn.tensors import joined_bytes, tensors_from_bytes
from testbed.errors import ProtocolError

Outputs = Mapping[int, memoryview]
"""The raw bytes of each producer's tensors; producer `INPUT` is the query's input."""


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


def executed(
    executor: Executor, graph: LayerGraph, first: int, last: int, inputs: Outputs
) -> Outputs:
    """Execute layers `first` to `last`; return those of their outputs that are needed afterwards.

    Raises ProtocolError if tensors or weights that they read are missing.
    """
    specs = graph.specs_of
    live = {p: tuple(tensors_from_bytes(specs(p), data)) for p, data in inputs.items()}
    values = executor.run(first, last, live)
    return {p: joined_bytes(values[p]) for p in graph.live(last + 1) if p >= first}


def same_tensors(
    graph: LayerGraph, producer: int, one: bytes | memoryview, other: bytes | memoryview
) -> bool:
    """Return whether two outputs of a producer are equal within floating-point tolerance.

    The tolerance is that of `torch.testing.assert_close`, whose absolute part is meant for numbers
    around 1: it is taken of a tensor's greatest magnitude where that is more.
    """
    specs = graph.specs_of(producer)
    try:
        pairs = zip(tensors_from_bytes(specs, one), tensors_from_bytes(specs, other), strict=True)
        for found, expected in pairs:
            _assert_close(found, expected)
    except (AssertionError, ProtocolError):
        return False
    return True


def _assert_close(found: Tensor, expected: Tensor) -> None:
    if not expected.is_floating_point() or not expected.numel():
        torch.testing.assert_close(found, expected)
        return
    magnitude = max(1.0, float(expected.abs().nan_to_num().max()))
    relative, absolute = _tolerances(expected.dtype)
    torch.testing.assert_close(
        found, expected, rtol=relative, atol=absolute * magnitude, equal_nan=True
    )


def _tolerances(dtype: torch.dtype) -> tuple[float, float]:
    """Return PyTorch's own: relative, absolute."""
    known = {torch.float16: (1e-3, 1e-5), torch.bfloat16: (1.6e-2, 1e-5)}
    known |= {torch.float32: (1.3e-6, 1e-5), torch.float64: (1e-7, 1e-7)}
    return known.get(dtype, (1e-7, 1e-7))
