"""A model of a megabyte with layers of every sort: convolutions, equal layers, a large last one."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Tiny(nn.Module):
    """Both normalisations start with the same weights, so their bytes are equal."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.pool = nn.MaxPool2d(8)
        self.hidden = nn.Linear(8 * 8 * 8, 256)
        self.head = nn.Linear(256, 512)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        x = torch.relu(x + self.second(x))
        return self.head(torch.relu(self.hidden(self.pool(x).flatten(1))))


def factory() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Tiny(), (torch.rand(1, 3, 64, 64),)
