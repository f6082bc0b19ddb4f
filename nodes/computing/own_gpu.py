"""An edge server's accelerator where that is a GPU of this machine, which times itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nodes.computing.compute import Computer
from nodes.computing.emulated_gpu import EmulatedGpu
from testbed.clock import RunClock
from testbed.gpu.stats import ServerStats
from testbed.settings.experiment import Experiment

T = TypeVar("T")


class OwnGpu:
    """Work is done when it is done; `load` returns the GPU's statistics, None if it has none.

    All edge servers of the machine share the GPU: its load is that of all of them.
    """

    def __init__(self, load: Callable[[], ServerStats | None]) -> None:
        self._load = load

    def start(self, clock: RunClock) -> None:
        """Nothing waits for the clock."""

    async def execute(
        self, client: str, seconds: float, compute: Callable[[], Awaitable[T]]
    ) -> tuple[T, float]:
        """Return the result of `compute`, and 0: nothing said when it should be there."""
        return await compute(), 0.0

    def hold(self, client: str, held_bytes: int) -> None:
        """The GPU itself tells how much memory is used."""

    def stats(self) -> ServerStats | None:
        """Return the present load, as it was read last."""
        return self._load()


ServerGpu = EmulatedGpu | OwnGpu


def server_gpu(
    settings: Experiment, computer: Computer, watch: Callable[[asyncio.Task[None]], None]
) -> ServerGpu:
    """Return the accelerator of an edge server that executes by `computer`."""
    if settings.timed_by_gpu:
        return OwnGpu(computer.gpu_load)
    return EmulatedGpu(exclusive=settings.server.accelerator == "exclusive", watch=watch)
