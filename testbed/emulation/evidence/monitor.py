"""Watching the machine while it emulates: what it has too little of, once a second.

Everything is read from files of /proc, which costs about a hundredth of a core with 400 nodes; what
it cost is measured and told. What the readings mean is `testbed.emulation.evidence.fidelity`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from testbed.clock import RunClock

_SAMPLE_S = 1.0
_PRESSURE = Path("/proc/pressure/cpu")
_SOFTNET = Path("/proc/net/softnet_stat")


class Wait(NamedTuple):
    """What the scheduler knows of a process: seconds that it waited for a processor, and turns."""

    waited_s: float
    turns: int


class Sent(NamedTuple):
    """What a client has sent over the air so far, by its interface's counters."""

    time_s: float  # emulated
    client: str
    bytes: int
    packets: int


@dataclass
class Readings:
    """What was read during a run.

    Args:
        run_queue_delay_s: how long a node waited for a processor each time that it wanted one, in
            wall seconds: the mean over a second, for each node and second in which it ran. Edge
            servers without a client are left out: they give way.
        cpu_pressure_share: share of each second in which something waited for a processor.
        cpu_busy_share: share of the processors that was busy, for each second.
        sent: what each client had sent at each reading.
        backlog_drops: packets that the kernel dropped since a processor's input queue was full.
        monitor_cpu_share: share of a core that the readings took.
    """

    run_queue_delay_s: list[float] = field(default_factory=list)
    cpu_pressure_share: list[float] = field(default_factory=list)
    cpu_busy_share: list[float] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    backlog_drops: int = 0
    monitor_cpu_share: float = 0.0


class Monitor:
    """Reads until it is cancelled; `processes` are the nodes' numbers, some of them `clients`."""

    def __init__(self, processes: Mapping[str, int], clients: set[str], clock: RunClock) -> None:
        self._processes = dict(processes)
        self._clients = clients
        self._clock = clock
        self.readings = Readings()

    async def run(self) -> None:
        """Sample until cancelled."""
        begun_s = time.monotonic()
        spent_s = 0.0
        psutil.cpu_percent()
        waits, pressure_s, drops = self._waits(), _pressure_s(), _backlog_drops()
        read_s = time.monotonic()
        while True:
            await asyncio.sleep(_SAMPLE_S)
            before_s = time.thread_time()
            now_s, new_pressure_s, new_waits = time.monotonic(), _pressure_s(), self._waits()
            self.readings.run_queue_delay_s += _delays_s(waits, new_waits)
            if pressure_s is not None and new_pressure_s is not None:
                share = (new_pressure_s - pressure_s) / (now_s - read_s)
                self.readings.cpu_pressure_share.append(min(1.0, share))
            waits, pressure_s, read_s = new_waits, new_pressure_s, now_s
            self.readings.cpu_busy_share.append(psutil.cpu_percent() / 100)
            self.readings.backlog_drops = _backlog_drops() - drops
            self.readings.sent += self._sent()
            spent_s += time.thread_time() - before_s
            self.readings.monitor_cpu_share = spent_s / (time.monotonic() - begun_s)

    def _waits(self) -> dict[str, Wait]:
        waits = {}
        for name, pid in self._processes.items():
            if not _hurries(pid):
                continue
            if text := _read(f"/proc/{pid}/schedstat"):  # run and waiting time in ns, turns
                _, waited_ns, turns = text.split()
                waits[name] = Wait(int(waited_ns) / 1e9, int(turns))
        return waits

    def _sent(self) -> list[Sent]:
        found = []
        for name in self._clients:
            for line in _read(f"/proc/{self._processes.get(name)}/net/dev").splitlines():
                interface, _, counters = line.partition(":")
                if interface.strip() == f"{name}-wlan0":
                    sent_bytes, packets = (int(each) for each in counters.split()[8:10])
                    found.append(Sent(self._clock.now_s(), name, sent_bytes, packets))
        return found


def _hurries(pid: int) -> bool:
    """Whether a node has times to keep: an edge server without a client gives way to those."""
    try:
        return os.getpriority(os.PRIO_PROCESS, pid) < 0
    except ProcessLookupError:
        return False


def _delays_s(before: Mapping[str, Wait], after: Mapping[str, Wait]) -> list[float]:
    """Return the seconds that each node waited for a turn, of those that had any in between."""
    pairs = [(before[name], wait) for name, wait in after.items() if name in before]
    return [(b.waited_s - a.waited_s) / (b.turns - a.turns) for a, b in pairs if b.turns > a.turns]


def _pressure_s() -> float | None:
    """Return for how long, since boot, something has waited for a processor; None if not told."""
    for line in _read(_PRESSURE).splitlines():
        if line.startswith("some"):
            return int(line.rpartition("total=")[2]) / 1e6
    return None


def _backlog_drops() -> int:
    """Return the packets that were dropped from the processors' input queues since boot."""
    return sum(int(line.split()[1], 16) for line in _read(_SOFTNET).splitlines())


def _read(path: Path | str) -> str:
    """Return a file of /proc; nothing if its process has ended, or this kernel has none."""
    with contextlib.suppress(OSError), io.FileIO(path) as file:
        return file.readall().decode()
    return ""
