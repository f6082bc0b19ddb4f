"""What the machine offers for an emulation, and what to do about what it lacks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nodes.transport.connection import CONGESTION_CONTROL
from testbed.emulation.network.openvswitch import SCHEMA
from testbed.emulation.network.qdiscs import refusal_of, try_qdisc
from testbed.errors import MachineError

State = Literal["found", "fallback", "missing"]

#: The default run (8 clients, about 120 access points) was measured to use 9 GB.
MEMORY_BYTES = 11e9

#: Programs that a run starts, and the Debian package of each.
_TOOLS = {
    "tcpdump": "tcpdump",
    "tc": "iproute2",
    "ip": "iproute2",
    "unshare": "util-linux",
    "mnexec": "mininet",
    "ifconfig": "net-tools",  # Mininet's nodes ask for it
}
_OVS_PROGRAMS = ("ovsdb-server", "ovs-vswitchd", "ovsdb-tool", "ovs-vsctl")
_TUN = Path("/dev/net/tun")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state, what was seen, and the command or remark that mends it."""

    name: str
    state: State
    detail: str
    mend: str = ""


def examine() -> list[Finding]:
    """Look at everything; needs no root itself, but says that a run does."""
    findings = [_root(), _tools(), _mininet(), _open_vswitch(), _datapath(), _controller_library()]
    findings += [_torch(), _nvml(), _cuda(), _memory(), _congestion_control()]
    if findings[0].state == "found":
        findings += [_namespaces(), *_traffic_control()]
    return findings


def unfit(findings: Iterable[Finding]) -> bool:
    """Return whether an emulation cannot run."""
    return any(finding.state == "missing" for finding in findings)


def print_findings(findings: Iterable[Finding], console: Console) -> None:
    """Print a line for each finding."""
    colours = {"found": "green", "fallback": "yellow", "missing": "red"}
    table = Table(box=None, pad_edge=False)
    for column in ("", "state", "seen", "to mend it"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        state = f"[{colours[finding.state]}]{finding.state}[/]"
        table.add_row(finding.name, state, escape(finding.detail), escape(finding.mend))
    console.print(table)


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding("root", "found", "runs as root")
    mend = "prefix the command with sudo"
    return Finding("root", "missing", "not root: namespaces need it", mend)


def _tools() -> Finding:
    absent = {tool: package for tool, package in _TOOLS.items() if _which(tool) is None}
    if not absent:
        return Finding("tools", "found", ", ".join(_TOOLS))
    packages = " ".join(sorted(set(absent.values())))
    return Finding("tools", "missing", f"no {', '.join(absent)}", f"apt-get install {packages}")


def _mininet() -> Finding:
    if importlib.util.find_spec("mininet") is None:
        return Finding("mininet", "missing", "no Python package mininet", "./install.sh")
    return Finding("mininet", "found", "Python package")


def _open_vswitch() -> Finding:
    absent = [program for program in _OVS_PROGRAMS if _which(program) is None]
    absent += [] if SCHEMA.exists() else [str(SCHEMA)]
    if absent:
        mend = "apt-get install openvswitch-switch"
        return Finding("Open vSwitch", "missing", f"no {', '.join(absent)}", mend)
    return Finding("Open vSwitch", "found", "a run starts an instance of its own")


def _datapath() -> Finding:
    if not _TUN.exists():
        mend = "modprobe tun; a container needs --device /dev/net/tun"
        return Finding("OVS datapath", "missing", f"userspace, but there is no {_TUN}", mend)
    kernel = Path("/sys/module/openvswitch").exists()
    module = "present, left to the machine's own" if kernel else "absent, not needed"
    return Finding("OVS datapath", "found", f"userspace; kernel module {module}")


def _controller_library() -> Finding:
    for library in ("os_ken", "ryu"):
        if importlib.util.find_spec(library) is not None:
            return Finding("controller library", "found", library)
    return Finding("controller library", "missing", "neither os_ken nor ryu", "./install.sh")


def _torch() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("torch", "missing", "no Python package torch", "./install.sh")
    return Finding("torch", "found", importlib.metadata.version("torch"))


def _nvml() -> Finding:
    if importlib.util.find_spec("pynvml") is None:
        return Finding("NVML", "fallback", "no Python package nvidia-ml-py", "./install.sh")
    import pynvml

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        return Finding("NVML", "fallback", f"no GPU ({error}); device profiles emulate one")
    return Finding("NVML", "found", f"{count} GPU(s)")


def _cuda() -> Finding:
    """Whether `compute.device=auto` takes a GPU."""
    if any(importlib.util.find_spec(package) is None for package in ("pynvml", "torch")):
        return Finding("CUDA", "fallback", "not looked for without the packages", "./install.sh")
    from testbed.gpu.cuda_device import find_cuda

    try:
        found = find_cuda()
    except MachineError as error:
        return Finding("CUDA", "fallback", f"{error}; compute.device=auto is cpu")
    return Finding("CUDA", "found", f"{found.name}; compute.device=auto takes it")


def _memory() -> Finding:
    free = psutil.virtual_memory().available
    seen = f"{free / 1e9:.1f} GB available"
    if free >= MEMORY_BYTES:
        return Finding("memory", "found", seen)
    mend = f"the default run needs {MEMORY_BYTES / 1e9:g} GB; take fewer --clients"
    return Finding("memory", "fallback", seen, mend)


def _congestion_control() -> Finding:
    available = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    default = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    if CONGESTION_CONTROL in available:
        seen = f"{CONGESTION_CONTROL}, set on each socket (the machine's default is {default})"
        return Finding("congestion control", "found", seen)
    mend = f"modprobe tcp_{CONGESTION_CONTROL}"
    return Finding("congestion control", "missing", f"only {' '.join(available)}", mend)


def _namespaces() -> Finding:
    """Try the namespaces and the mount of a sandbox, in a process that ends at once."""
    error = refusal_of(["unshare", "--fork", "--pid", "--mount-proc", "--net", "--ipc", "true"])
    if error is None:
        return Finding("namespaces", "found", "network, PID, mount and IPC")
    return Finding("namespaces", "missing", error, "a container needs --privileged")


def _traffic_control() -> list[Finding]:
    """Try queueing disciplines on the loopback link of a network namespace that ends at once."""
    htb = Finding("HTB", "found", "link rates")
    if (error := try_qdisc("htb")) is not None:
        htb = Finding("HTB", "missing", error, "modprobe sch_htb")
    netem = Finding("netem", "found", "propagation delay of links, where one is set")
    if (error := try_qdisc("netem", "delay", "1ms")) is not None:
        netem = Finding("netem", "fallback", f"{error}; a delay of links cannot be emulated")
    return [htb, netem]


def _which(tool: str) -> str | None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return shutil.which(tool, path=path)
