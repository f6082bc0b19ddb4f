"""Outputs of layers as the raw bytes that travel: cutting them apart, and comparing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from testbed.dnn.executor import Executor
from testbed.dnn.graph import LayerGraph
from testbed.dnn.tensors import joined_bytes, tensors_from_bytes
from testbed.dnn.tolerance import TOLERANCES, Tolerance
from testbed.errors import ProtocolError
from testbed.settings.engines import Precision

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
    graph: LayerGraph,
    producer: int,
    one: bytes | memoryview,
    other: bytes | memoryview,
    precision: Precision = "float32",
) -> bool:
    """Return whether an output of a producer, executed so precisely, is the other.

    Within the tolerance of `testbed.dnn.tolerance`.
    """
    specs = graph.specs_of(producer)
    try:
        pairs = zip(tensors_from_bytes(specs, one), tensors_from_bytes(specs, other), strict=True)
        for found, expected in pairs:
            _assert_close(found, expected, precision)
    except (AssertionError, ProtocolError):
        return False
    return True


def _assert_close(found: Tensor, expected: Tensor, precision: Precision) -> None:
    if not expected.is_floating_point() or not expected.numel():
        torch.testing.assert_close(found, expected)
        return
    tolerance = _tolerance(expected.dtype, precision)
    greatest = float(expected.abs().nan_to_num().max())
    absolute = tolerance.of_greatest * max(tolerance.least_greatest, greatest)
    torch.testing.assert_close(
        found, expected, rtol=tolerance.relative, atol=absolute, equal_nan=True
    )
    if tolerance.cosine is not None and greatest > tolerance.least_greatest:
        one, other = (each.nan_to_num().double().flatten() for each in (found, expected))
        assert float(torch.cosine_similarity(one, other, dim=0)) >= tolerance.cosine


def _tolerance(dtype: torch.dtype, precision: Precision) -> Tolerance:
    """Return that of tensors of a type; those of other types than `float32` are never cast."""
    if dtype == torch.float32:
        return TOLERANCES[precision]
    known = {torch.float16: (1e-3, 1e-5), torch.bfloat16: (1.6e-2, 1e-5)}
    return Tolerance(*known.get(dtype, (1e-7, 1e-7)), 1.0)
