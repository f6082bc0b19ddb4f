"""The layers of Caffe networks that PyTorch has no module for, and what such networks share.

Caffe normalises a batch in two layers (statistics, then scale and bias), keeps the statistics
multiplied by a factor, and has layers for joining tensors. Class names are Caffe's type names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

BATCH_NORM_EPSILON = 1e-5  # Caffe's default


class BatchNorm(nn.Module):
    """Normalise each channel with stored statistics, which are divided by a stored factor."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("scale_factor", torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return x, (batch, channels, height, width), normalised."""
        factor = cast(Tensor, self.scale_factor)
        mean = cast(Tensor, self.mean) / factor
        variance = cast(Tensor, self.variance) / factor
        return nn.functional.batch_norm(x, mean, variance, eps=BATCH_NORM_EPSILON)


class Scale(nn.Module):
    """Multiply each channel by a weight, drawn at random around `gain`, and add a bias."""

    def __init__(self, channels: int, gain: float = 1.0) -> None:
        super().__init__()
        self.channels = channels
        self.gain = gain
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return x, (batch, channels, height, width), scaled."""
        return torch.addcmul(self.bias[:, None, None], x, self.weight[:, None, None])


class Concat(nn.Module):
    """Join tensors along their channels."""

    def forward(self, *parts: Tensor) -> Tensor:
        """Return (batch, sum of channels, height, width)."""
        return torch.cat(parts, dim=1)


class Eltwise(nn.Module):
    """Add two tensors of one shape."""

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Return left + right."""
        return left + right


class InnerProduct(nn.Linear):
    """A fully connected layer, which takes all of a query's elements as one vector."""

    def forward(self, input: Tensor) -> Tensor:
        """Return (batch, out_features) for (batch, ...)."""
        return super().forward(input.flatten(1))


class CaffeNetwork(nn.Module):
    """A network whose layers are attributes, under the names that its Caffe definition gives."""

    def add_layers(self, **layers: nn.Module) -> None:
        """Register layers under their names."""
        for name, layer in layers.items():
            self.add_module(name, layer)

    def add_unit(self, names: Sequence[str], convolution: nn.Conv2d, gain: float = 1.0) -> None:
        """Register a convolution with batch normalisation, scale and, if four are named, ReLU."""
        channels = convolution.out_channels
        layers = (convolution, BatchNorm(channels), Scale(channels, gain), nn.ReLU())
        self.add_layers(**dict(zip(names, layers, strict=False)))

    def apply_layers(self, names: Iterable[str], x: Tensor) -> Tensor:
        """Pass x through the named layers one after the other."""
        for name in names:
            x = self.get_submodule(name)(x)
        return x
