"""The load of this machine's GPU during a run: told to edge servers, and recorded.

One process executes for all edge servers of the machine, and knows which clients have work there.
So it reads the GPU's statistics for all of them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from testbed.clock import RunClock
from testbed.errors import MachineError
from testbed.gpu.nvml import NvmlSource, first_visible
from testbed.gpu.sampler import Sampler
from testbed.gpu.stats import ServerStats, StatsSource
from testbed.runs.records import RecordWriter

PERIOD_S = 1.0  # NVML's own is up to that; wall time

_log = logging.getLogger(__name__)


class GpuLoad:
    """Reads a GPU's statistics each second, and writes them to the file `told`; a context manager.

    Each reading of the run is a row of the table `gpu`. Raises MachineError as it opens if the GPU
    cannot be asked.
    """

    def __init__(
        self, told: Path, records: RecordWriter, source: StatsSource | None = None
    ) -> None:
        self.clock = RunClock(math.inf)
        self._told = told
        self._records = records
        self._source = source
        self._working: Counter[str] = Counter()
        self._ended_s: dict[str, float] = {}
        self._sampler: Sampler
        self._undo = ExitStack()

    def __enter__(self) -> GpuLoad:
        with ExitStack() as undo:
            source = self._source or NvmlSource(first_visible(os.environ))
            undo.enter_context(closing(source))
            self._sampler = undo.enter_context(Sampler(source, PERIOD_S, self.clients))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def began(self, client: str) -> None:
        """A client has work for the GPU from now on."""
        self._working[client] += 1

    def ended(self, client: str) -> None:
        """Work of a client is done."""
        self._ended_s[client] = time.monotonic()
        self._working[client] -= 1

    def clients(self) -> int:
        """Return how many clients have work now, or had some in the past sample period."""
        since_s = time.monotonic() - PERIOD_S
        recent = {client for client, ended_s in list(self._ended_s.items()) if ended_s > since_s}
        return len(recent | {client for client, count in list(self._working.items()) if count > 0})

    async def publish(self) -> None:
        """Write each reading until cancelled; without one nobody is told anything."""
        while True:
            self.tell()
            await asyncio.sleep(PERIOD_S)

    def tell(self) -> None:
        """Write the latest reading, and record it while the run goes on."""
        try:
            stats = self._sampler.latest()
        except MachineError:  # the sampler says so in the log
            self._told.unlink(missing_ok=True)
            return
        new = self._told.with_suffix(".new")
        new.write_bytes(msgspec.msgpack.encode(stats))
        new.rename(self._told)
        if math.isfinite(now_s := self.clock.now_s()):
            self._record(now_s, stats)

    def _record(self, now_s: float, stats: ServerStats) -> None:
        values = msgspec.structs.asdict(stats)
        values.pop("source")
        row = {name: None if math.isnan(value) else value for name, value in values.items()}
        self._records.append("gpu", time_s=now_s, **row)


def read_gpu_load(told: Path) -> ServerStats | None:
    """Return what `GpuLoad` wrote last; None if there is nothing."""
    try:
        return msgspec.msgpack.decode(told.read_bytes(), type=ServerStats)
    except FileNotFoundError:
        return None
