"""Whether PyTorch can use a GPU of this machine, found out without using it in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from functools import cache
from typing import NamedTuple

from testbed.errors import MachineError
from testbed.gpu.nvml import SAME_ORDER, NvmlSource, first_visible

_PATIENCE_S = 120.0  # a GPU that sleeps, and PyTorch's import

#: CUDA does not survive a fork once it is in use, so another process tries it.
_PROBE = """
import json, torch
torch.zeros(1, device="cuda")
found = torch.cuda.get_device_properties(0)
print(json.dumps([found.name, found.total_memory]))
"""


class CudaDevice(NamedTuple):
    """The GPU that PyTorch takes first, and its memory."""

    name: str
    memory_bytes: int


@cache
def find_cuda() -> CudaDevice:
    """Return the GPU that segments would run on; takes seconds where there is one.

    Raises MachineError without an NVIDIA GPU, or if PyTorch cannot use it.
    """
    with closing(NvmlSource(first_visible(os.environ))) as source:
        name = source.name
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE],
            env=os.environ | SAME_ORDER,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MachineError(f"{name}: PyTorch did not answer in {_PATIENCE_S:g} s") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        raise MachineError(f"{name}: PyTorch cannot use it: {reason}")
    return CudaDevice(*json.loads(done.stdout.splitlines()[-1]))
