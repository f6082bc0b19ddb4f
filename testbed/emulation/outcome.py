"""What only the process that runs an emulation knows of it, and what of that its manifest tells."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from controllers.northbound import Counters
from testbed.emulation import compute_mode
from testbed.emulation.capture import Capture
from testbed.emulation.delay import Delay
from testbed.emulation.monitor import Readings
from testbed.emulation.spread import Machines
from testbed.runfolder import RunFolder


@dataclass
class Outcome:
    """What only the running process knows of a run."""

    origin_unix_s: float = 0.0
    compute: compute_mode.Choice | None = None
    addresses: dict[str, str] = field(default_factory=dict)  # of access points, master, clients
    capture: Capture | None = None
    counters: Counters | None = None  # the switches' own, at the last reading
    step_late_s: list[float] = field(default_factory=list)
    moved_late_s: list[float] = field(default_factory=list)
    readings: Readings = field(default_factory=Readings)
    delay: Delay | None = None
    machines: Machines | None = None
    estimate: str | None = None  # of what the run needs
    compared: int = 0
    unequal: int = 0
    clean_up_s: float | None = None  # from the end of the replay until all was taken down
    begun_s: float = field(default_factory=time.monotonic)
    ready_s: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def taking_down(self) -> Iterator[Callable[[], None]]:
        """Time the clean-up: from the call of what is yielded until the end of the block."""
        begun_s: list[float] = []
        try:
            yield lambda: begun_s.append(time.monotonic())
        finally:
            if begun_s:
                self.clean_up_s = time.monotonic() - begun_s[0]

    def ready(self, what: str) -> float:
        """Note that a part of the run is ready; return the wall seconds since the run began."""
        self.ready_s[what] = time.monotonic() - self.begun_s
        return self.ready_s[what]


def raw_folder(folder: RunFolder) -> Path:
    """Return where captures lie until they become one pcapng with named interfaces."""
    return folder.pcap / "raw"


def manifest_of(outcome: Outcome) -> dict[str, Any]:
    """Return what a run adds to its manifest."""
    choice, counters = outcome.compute, outcome.counters
    return {
        "origin_unix_s": outcome.origin_unix_s,
        "addresses": outcome.addresses,
        "compute": choice.mode if choice else None,
        "compute_reason": choice.reason if choice else None,
        "estimate": outcome.estimate,
        **(outcome.machines.describe() if outcome.machines else {}),
        "link_delay": outcome.delay.described() if outcome.delay else None,
        "bring_up_s": max(outcome.ready_s.values(), default=0.0),
        "ready_s": outcome.ready_s,
        "clean_up_s": outcome.clean_up_s,
        "switch_ports": [] if counters is None else msgspec.to_builtins(counters.ports),
        "table_misses": {} if counters is None else counters.missed_packets,
        "packets_captured": outcome.capture.captured if outcome.capture else 0,
        "packets_dropped": outcome.capture.dropped if outcome.capture else 0,
    }
