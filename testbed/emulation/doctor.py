"""What the machine offers for an emulation, and what to do about what it lacks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from rich.console import Console
from rich.table import Table

from nodes.connection import CONGESTION_CONTROL

State = Literal["found", "fallback", "missing"]

#: The default run (8 clients, about 120 access points) was measured to use 6 GB.
MEMORY_BYTES = 8e9

#: Run as `python -c` in namespaces of its own, since trying changes the process.
_TRY_NAMESPACES = """
from testbed.emulation import namespaces as n
n.unshare(n.CLONE_NEWPID | n.CLONE_NEWNS | n.CLONE_NEWNET | n.CLONE_NEWIPC)
"""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state, what was seen, and the command or remark that mends it."""

    name: str
    state: State
    detail: str
    mend: str = ""


def examine() -> list[Finding]:
    """Look at everything; needs no root itself, but says that a run does."""
    root = _root()
    checks: list[Callable[[], Finding]] = [
        _tools,
        _mininet,
        _open_vswitch,
        _controller_library,
        _torch,
        _nvml,
        _memory,
        _congestion_control,
    ]
    findings = [root, *(check() for check in checks)]
    if root.state == "found":
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
        table.add_row(finding.name, state, finding.detail, finding.mend)
    console.print(table)


def _root() -> Finding:
    if os.geteuid() == 0:
        return Finding("root", "found", "runs as root")
    return Finding(
        "root", "missing", "not root: namespaces need it", "prefix the command with sudo"
    )


def _tools() -> Finding:
    needed = {"tcpdump": "tcpdump", "tc": "iproute2", "ip": "iproute2", "mnexec": "mininet"}
    absent = {tool: package for tool, package in needed.items() if _which(tool) is None}
    if not absent:
        return Finding("tools", "found", ", ".join(needed))
    packages = " ".join(sorted(set(absent.values())))
    return Finding("tools", "missing", f"no {', '.join(absent)}", f"apt-get install {packages}")


def _mininet() -> Finding:
    if importlib.util.find_spec("mininet") is None:
        return Finding("mininet", "missing", "no Python package mininet", "./install.sh")
    return Finding("mininet", "found", "Python package")


def _open_vswitch() -> Finding:
    if _which("ovs-vswitchd") is None or _which("ovsdb-server") is None:
        mend = "apt-get install openvswitch-switch"
        return Finding("Open vSwitch", "missing", "not installed", mend)
    kernel = Path("/sys/module/openvswitch").exists()
    return Finding(
        "Open vSwitch",
        "found",
        "a private instance with the userspace datapath; kernel module "
        + ("present, left to the machine's own" if kernel else "absent, not needed"),
    )


def _controller_library() -> Finding:
    for library in ("os_ken", "ryu"):
        if importlib.util.find_spec(library) is not None:
            return Finding("controller library", "found", library)
    return Finding("controller library", "missing", "neither os_ken nor ryu", "./install.sh")


def _torch() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("torch", "missing", "no Python package torch", "./install.sh")
    version = importlib.metadata.version("torch")
    return Finding("torch", "found", version)


def _nvml() -> Finding:
    import pynvml

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        return Finding("NVML", "fallback", f"no GPU ({error}); device profiles emulate one")
    return Finding("NVML", "found", f"{count} GPU(s)")


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
    result = subprocess.run(
        [sys.executable, "-c", _TRY_NAMESPACES], capture_output=True, text=True, check=False
    )
    if result.returncode == 0:
        return Finding("namespaces", "found", "network, PID, mount and IPC")
    error = result.stderr.strip().splitlines()[-1]
    return Finding("namespaces", "missing", error, "a container needs --privileged")


def _traffic_control() -> list[Finding]:
    """Try queueing disciplines on a dummy link in a network namespace that ends with the test."""
    findings = []
    htb = _try_qdisc("htb")
    findings.append(
        Finding("HTB", "found", "link rates")
        if htb is None
        else Finding("HTB", "missing", htb, "modprobe sch_htb")
    )
    netem = _try_qdisc("netem", "delay", "1ms")
    findings.append(
        Finding("netem", "found", "not used yet: links have no added delay")
        if netem is None
        else Finding("netem", "fallback", "not in this kernel; links have no added delay")
    )
    return findings


def _try_qdisc(*qdisc: str) -> str | None:
    """Return why the kernel has no such queueing discipline, or None if it has."""
    unshare = ["unshare", "--net"]
    arguments = ["tc", "qdisc", "add", "dev", "lo", "root", *qdisc]
    result = subprocess.run([*unshare, *arguments], capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else result.stderr.strip().splitlines()[0]


def _which(tool: str) -> str | None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    return shutil.which(tool, path=path)
