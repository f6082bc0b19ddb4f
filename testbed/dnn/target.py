"""Where layers are executed, and how precisely."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from testbed.settings.engines import Precision

Device = Literal["cpu", "cuda"]


class Target(NamedTuple):
    """Where layers are executed, and how precisely."""

    device: Device = "cpu"
    precision: Precision = "float32"

    def placed(self, tensor: Tensor) -> Tensor:
        """Return a tensor of `float32` there, in this precision; another keeps its type."""
        dtype = getattr(torch, self.precision) if tensor.dtype == torch.float32 else tensor.dtype
        return tensor.to(torch_device(self.device), dtype)


#: What everything else is compared with: the processors, as the models were published.
REFERENCE = Target()


def torch_device(device: Device) -> torch.device:
    """Return PyTorch's name of a device."""
    return torch.device(device)


def begin(device: Device) -> float:
    """Have PyTorch use a device in this process from now on; return its free bytes of memory.

    Convolutions and products of `float32` are then as precise on a GPU as on processors: by default
    PyTorch rounds what a convolution reads to ten bits there (TF32). A GPU's libraries are loaded,
    which takes seconds. They do not survive a fork. Raises RuntimeError if the GPU cannot be used.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    image = torch.zeros(1, 1, 3, 3, device=torch_device(device))
    torch.conv2d(image, image)
    return float(torch.cuda.mem_get_info()[0])
