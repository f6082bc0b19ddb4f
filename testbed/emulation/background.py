"""Starting the processes of a run that are no nodes: switches, controller, captures, nursery.

A process of a run is in a process group of its own, so that Ctrl-C is heard by who takes it down
in order, but in the session of the run. Where the kernel groups processes by session
(`kernel.sched_autogroup_enabled`), each session has an equal share of the processors, whatever is
in it: in sessions of their own, twenty switches left a twentieth to all nodes together. Within one
session niceness counts: first what carries packets, then what has times to keep.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

#: Niceness: a switch takes microseconds for each packet, and a packet's time is everyone's.
SWITCH_NICENESS = -15
#: A node sleeps most of the time and must wake at the right one.
NODE_NICENESS = -10


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
    with Path(os.devnull if output is None else output).open("ab") as said:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env=None if environment is None else os.environ | environment,
            pass_fds=pass_fds,
            process_group=0,
        )
