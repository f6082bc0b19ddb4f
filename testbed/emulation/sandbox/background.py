"""Starting the processes of a run that are no nodes: switches, controller, captures, nursery.

A process of a run is in a process group of its own, so that Ctrl-C is heard by who takes it down
in order, but in the session of the run. Where the kernel groups processes by session
(`kernel.sched_autogroup_enabled`), each session has an equal share of the processors, whatever is
in it: in sessions of their own, twenty switches left a twentieth to all nodes together. Within one
session niceness counts: first what carries packets, then what has times to keep. And all take short
turns: dozens of servers that send layers on would else keep a query waiting for tens of
milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from testbed.errors import EmulationError

#: Niceness: a switch takes microseconds for each packet, and a packet's time is everyone's.
SWITCH_NICENESS = -15
#: A node sleeps most of the time and must wake at the right one.
NODE_NICENESS = -10

_TURN_NS = 300_000  # by default 1.4 ms on two processors
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # the system call's number
_SCHED_ATTR = struct.Struct("=IIQiIQQQII")  # linux/sched/types.h


def take_short_turns() -> None:
    """Have this thread, and all that it starts, be asked sooner to let others run.

    The slice of SCHED_OTHER in sched_attr.sched_runtime, since Linux 6.12; older ones ignore it.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if number is not None:
        niceness = os.getpriority(os.PRIO_PROCESS, 0)
        attributes = _SCHED_ATTR.pack(
            _SCHED_ATTR.size, os.SCHED_OTHER, 0, niceness, 0, _TURN_NS, 0, 0, 0, 0
        )
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)


def hurry() -> None:
    """Give this process, whose threads hand clients over, the niceness of switches.

    Called when all others have been started, since they inherit theirs.
    """
    for thread in Path("/proc/self/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(thread.name), SWITCH_NICENESS)


def start(
    command: Sequence[str],
    output: Path | None = None,
    *,
    niceness: int = 0,
    environment: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a process that reads nothing and appends what it says to a file, if one is named."""
    if niceness:
        command = ["nice", "-n", str(niceness), *command]
    with Path(output or os.devnull).open("ab") as file:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            env=os.environ | (environment or {}),
            pass_fds=pass_fds,
            process_group=0,
        )


def run(
    command: Sequence[str],
    failing: str,
    *,
    given: str | None = None,
    timeout_s: float = 60.0,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a command to its end; EmulationError "FAILING: what it said" where it fails."""
    result = subprocess.run(
        command,
        input=given,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=os.environ | (environment or {}),
        check=False,
    )
    if result.returncode != 0:
        raise EmulationError(f"{failing}: {result.stderr.strip()}")
