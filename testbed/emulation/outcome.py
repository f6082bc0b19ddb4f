"""What only the process that runs an emulation knows of it, and what of that its manifest tells."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from controllers.northbound import Counters
from nodes.transport.connection import CONGESTION_CONTROL
from testbed.dnn.tolerance import TOLERANCES
from testbed.emulation.evidence.fidelity import Evidence
from testbed.emulation.evidence.packet_capture import PacketCapture
from testbed.emulation.fitness import compute_mode
from testbed.emulation.network.kernel_delay import Delay
from testbed.emulation.spread.spread import Machines
from testbed.gpu.nvml import NvmlSource, first_visible
from testbed.runs import manifest
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment

_PACKAGES = ("mininet", "os-ken", "torch", "scikit-learn", "numpy", "pandas", "pyroute2")
_SHARING = {
    "separate": "each client has its own rate; layers and the rest share it equally",
    "shared": "the clients of an access point share its rate; layers and the rest share it equally",
}
_ACCELERATORS = {
    "modelled": "modelled: an edge server's clients share it; nothing of it was measured",
    "exclusive": "exclusive: an edge server's clients use it one at a time",
}

_TIMED_BY_GPU = "this machine's GPU, which all edge servers share and which times itself"


@dataclass
class Outcome:
    """What only the running process knows of a run."""

    origin_unix_s: float = 0.0
    compute: compute_mode.ComputeChoice | None = None
    addresses: dict[str, str] = field(default_factory=dict)  # of access points, master, clients
    capture: PacketCapture | None = None
    counters: Counters | None = None  # the switches' own, at the last reading
    evidence: Evidence = field(default_factory=Evidence)
    delay: Delay | None = None
    machines: Machines | None = None
    estimate: str | None = None  # of what the run needs
    finished_s: float = 0.0  # wall time in which, after the run, what waited was executed
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


def describe(settings: Experiment) -> dict[str, Any]:
    """Return what is known before the run; its `status` is that of a run cut off at once."""
    return {
        **manifest.describe(settings, _PACKAGES),
        "open_vswitch": _first_line("ovs-vswitchd", "--version"),
        "datapath": "Open vSwitch userspace (netdev), TCP segmentation offloaded",
        "congestion_control": CONGESTION_CONTROL,
        "wireless_sharing": _SHARING[settings.wireless.airtime],
        "accelerator": _TIMED_BY_GPU
        if settings.timed_by_gpu
        else _ACCELERATORS[settings.server.accelerator],
        "device": _device(settings),
        "precision": settings.compute.precision,
        "tolerance": TOLERANCES[settings.compute.precision].described(),
    }


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
        "finished_s": outcome.finished_s,
        "clean_up_s": outcome.clean_up_s,
        "switch_ports": [] if counters is None else msgspec.to_builtins(counters.ports),
        "table_misses": {} if counters is None else counters.missed_packets,
        "packets_captured": outcome.capture.captured if outcome.capture else 0,
        "packets_dropped": outcome.capture.dropped if outcome.capture else 0,
    }


def _device(settings: Experiment) -> str:
    """Return what executes the edge servers' layers."""
    if settings.compute.device != "cuda":
        return "cpu"
    with closing(NvmlSource(first_visible(os.environ))) as source:
        return f"cuda: {source.name}"


def _first_line(program: str, *arguments: str) -> str | None:
    command = [shutil.which(program) or f"/usr/sbin/{program}", *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return result.stdout.splitlines()[0] if result.stdout else None
