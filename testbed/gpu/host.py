"""Statistics of an edge server that executes on the machine's processors, from psutil."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import NamedTuple

import psutil

from testbed.gpu.stats import ServerStats

#: Sensors of processors among those that Linux names, by driver; others measure disks and boards.
_PROCESSOR_SENSORS = (
    *("coretemp", "k10temp", "zenpower"),
    *("cpu_thermal", "cpu-thermal", "soc_thermal"),
)


class ProcessorTime(NamedTuple):
    """Seconds that processors have been busy, and have been, since the machine's start."""

    busy_s: float
    whole_s: float


class HostSource:
    """The processors that this process may use, and its own memory.

    `kernel_utilisation` is the share of their time since the read before that they were busy, with
    whatever ran there; NaN until the kernel's clock has ticked (10 ms) once. What the memory bus
    carries is told to nobody, so `memory_utilisation` is NaN. `memory_used_bytes` is the process'
    resident memory, and the temperature that of the hottest processor sensor.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = _processor_time()
        self._utilisation = math.nan

    def read(self, clients: int) -> ServerStats:
        """Return the machine's statistics since the read before."""
        now = _processor_time()
        if now.whole_s > self._before.whole_s:
            self._utilisation = utilisation(self._before, now)
            self._before = now
        return ServerStats(
            source="host",
            clients=clients,
            kernel_utilisation=self._utilisation,
            memory_utilisation=math.nan,
            memory_used_bytes=int(self._process.memory_info().rss),
            temperature_c=_temperature_c(),
        )

    def close(self) -> None:
        """Nothing is held."""


def utilisation(before: ProcessorTime, after: ProcessorTime) -> float:
    """Return the busy share, 0 to 1, between two instants with time between them."""
    # The kernel may take back a little idle time, hence the bounds
    share = (after.busy_s - before.busy_s) / (after.whole_s - before.whole_s)
    return min(1.0, max(0.0, share))


def _processor_time() -> ProcessorTime:
    mine, everyone = os.sched_getaffinity(0), psutil.cpu_times(percpu=True)
    # In some containers the kernel's table has only the own processors, numbered anew
    each = [times for cpu, times in enumerate(everyone) if cpu in mine] or everyone
    # user and nice contain guests' time already
    idle_s = sum(times.idle + times.iowait for times in each)
    busy_s = sum(
        times.user + times.nice + times.system + times.irq + times.softirq + times.steal
        for times in each
    )
    return ProcessorTime(busy_s, busy_s + idle_s)


def _temperature_c() -> float:
    sensors = psutil.sensors_temperatures()
    found: Iterable[float] = [
        reading.current for name in _PROCESSOR_SENSORS for reading in sensors.get(name, ())
    ]
    return max(found, default=math.nan)
