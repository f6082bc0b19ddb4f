"""Which layers one convolution can do the work of: those that only scale, shift or clip its output.

A batch normalisation and a scale multiply and shift each channel by what is fixed after training,
so a convolution with other weights and another bias gives the same (Jacob et al., CVPR 2018,
section 3.2, fold for inference likewise), and a ReLU is done as it stores what it computed.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.graph import LayerGraph
from testbed.dnn.models.caffe_layers import BATCH_NORM_EPSILON, BatchNorm, Scale

_Normalisation = BatchNorm | Scale | nn.BatchNorm2d


class Chain(NamedTuple):
    """Layers that are executed as one: a convolution, and those that follow it; ascending."""

    layers: tuple[int, ...]
    rectified: bool  # whether the last one is a ReLU


class Folded(NamedTuple):
    """The one convolution that a chain amounts to."""

    weight: Tensor  # (channels out, channels in / groups, height, width)
    bias: Tensor  # (channels out,)


def chains(captured: CapturedModel) -> dict[int, Chain]:
    """Return the chains of a model by their convolutions' indices.

    Nothing but the next layer of its chain reads a layer's output; weights that several layers
    share are left alone.
    """
    readers = _readers(captured.graph)
    found = {}
    for index in range(len(captured.graph)):
        if _is_plain_convolution(captured, index):
            chain = _chain_from(captured, index, readers)
            if len(chain.layers) > 1:
                found[index] = chain
    return found


def folded(captured: CapturedModel, chain: Chain) -> Folded:
    """Return the convolution of a chain whose weights are here."""
    convolution = _module(captured, chain.layers[0])
    assert isinstance(convolution, nn.Conv2d)
    weight, bias = convolution.weight, convolution.bias
    bias = torch.zeros(convolution.out_channels) if bias is None else bias
    for index in chain.layers[1:]:
        part = _module(captured, index)
        if isinstance(part, _Normalisation):
            factor, shift = _factor_and_shift(part)
            weight, bias = weight * factor[:, None, None, None], bias * factor + shift
    return Folded(weight.detach(), bias.detach())


def _factor_and_shift(part: _Normalisation) -> tuple[Tensor, Tensor]:
    """What a layer multiplies each channel by, and then adds."""
    if isinstance(part, Scale):
        return part.weight, part.bias
    if isinstance(part, BatchNorm):
        stored = part.scale_factor
        assert isinstance(stored, Tensor) and isinstance(part.mean, Tensor)
        assert isinstance(part.variance, Tensor)
        factor = torch.rsqrt(part.variance / stored + BATCH_NORM_EPSILON)
        return factor, -part.mean / stored * factor
    assert part.running_mean is not None and part.running_var is not None
    factor = torch.rsqrt(part.running_var + part.eps)
    if part.weight is not None:
        factor = factor * part.weight
    shift = -part.running_mean * factor
    return factor, shift if part.bias is None else shift + part.bias


def _chain_from(captured: CapturedModel, first: int, readers: dict[int, list[int]]) -> Chain:
    layers = [first]
    while True:
        following = readers[layers[-1]]
        if len(following) != 1 or layers[-1] in captured.graph.outputs:
            return Chain(tuple(layers), rectified=False)
        (index,) = following
        part = _module(captured, index)
        alone = len(captured.graph.layers[index].inputs) == 1
        if isinstance(part, nn.ReLU) and alone:
            return Chain((*layers, index), rectified=True)
        if not (alone and _folds(part) and not _shares_weights(captured.graph, index)):
            return Chain(tuple(layers), rectified=False)
        layers.append(index)


def _folds(part: nn.Module | None) -> bool:
    if isinstance(part, nn.BatchNorm2d):
        return part.running_mean is not None and part.running_var is not None
    return isinstance(part, _Normalisation)


def _is_plain_convolution(captured: CapturedModel, index: int) -> bool:
    part, layer = _module(captured, index), captured.graph.layers[index]
    return (
        type(part) is nn.Conv2d
        and part.padding_mode == "zeros"
        and not isinstance(part.padding, str)
        and not _shares_weights(captured.graph, index)
        and all(spec.dtype == "float32" for spec in (*layer.weights, *layer.outputs))
        and len(layer.inputs) == 1
        and len(layer.outputs[0].shape) == 4
    )


def _shares_weights(graph: LayerGraph, index: int) -> bool:
    return any(index in pair for pair in graph.weight_sharing)


def _readers(graph: LayerGraph) -> dict[int, list[int]]:
    readers: dict[int, list[int]] = defaultdict(list)
    for index, layer in enumerate(graph.layers):
        for producer in layer.inputs:
            readers[producer].append(index)
    return readers


def _module(captured: CapturedModel, index: int) -> nn.Module | None:
    node = captured.steps[index]
    return captured.module.get_submodule(str(node.target)) if node.op == "call_module" else None
