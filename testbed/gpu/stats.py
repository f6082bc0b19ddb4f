"""GPU statistics of an edge server (section III.C.1): one record, three sources.

`nvml` asks an NVIDIA GPU, `host` the processors where PyTorch runs on them, `modelled` an emulated
accelerator. The source stands in the record, so that nobody takes one for another.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec


class ServerStats(msgspec.Struct, frozen=True):
    """An edge server's present load.

    `kernel_utilisation` and `memory_utilisation` are shares, 0 to 1, of the past sample period in
    which kernels ran, and in which memory was read or written; NaN where nothing measures them.
    `clients` is how many clients had work at the server in that period. `memory_used_bytes` is 0
    and `temperature_c` NaN where nothing measures it.
    """

    source: Literal["nvml", "host", "modelled"]
    clients: int
    kernel_utilisation: float
    memory_utilisation: float
    memory_used_bytes: int
    temperature_c: float


class StatsSource(Protocol):
    """Where statistics come from; `contextlib.closing` ends its use."""

    def read(self, clients: int) -> ServerStats:
        """Return the present statistics; `clients` is what the server itself knows."""

    def close(self) -> None:
        """Give back what reading needed."""
