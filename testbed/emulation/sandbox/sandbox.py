"""A run's own namespaces: whatever the run creates ends with its first process.

    user's shell -- launcher (this module) -- first process of the sandbox -- everything else
                    forwards signals           process 1 of a new PID namespace

The sandbox has its own network, PID, mount and IPC namespaces. Mininet's "root" side, the switches'
ports and the Open vSwitch of a run therefore stand beside those of the machine, never among them:
another Mininet network survives, and two runs do not meet. When the first process ends, however
it ends, the kernel kills every process of the PID namespace and with the last of them the network
namespaces, links and the temporary file system go. `kill -9` of the launcher kills the first
process (parent-death signal), so nothing survives that either but an empty folder, which
`testbed clean` removes.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

from testbed import namespaces
from testbed.emulation.sandbox import background

#: Folders here are the mount points of runs; only their names are visible outside.
SCRATCH_ROOT = Path("/run/perdnn-testbed")
SCRATCH_VARIABLE = "PERDNN_TESTBED_SCRATCH"
_OUTSIDE_VARIABLE = "PERDNN_TESTBED_OUTSIDE"
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def execute(module: str, arguments: list[str]) -> NoReturn:
    """Replace this process by a launcher that runs `python -m MODULE ARGUMENTS` in a sandbox."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", module, *arguments]
    os.execv(sys.executable, [sys.executable, "-m", __name__, *command])


def launch(command: list[str]) -> int:
    """Run a command as the first process of a new sandbox; return its exit status.

    The command finds a private temporary file system at $PERDNN_TESTBED_SCRATCH. A signal that
    ends the command gives 128 + its number, as shells do.
    """
    SCRATCH_ROOT.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=SCRATCH_ROOT))
    try:
        return _launch_on(scratch, command)
    finally:
        scratch.rmdir()
        with contextlib.suppress(OSError):  # another run has its folder there
            SCRATCH_ROOT.rmdir()


def _launch_on(scratch: Path, command: list[str]) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    namespaces.unshare(namespaces.CLONE_NEWPID)
    child = os.fork()
    if child == 0:
        _become_first_process(command, scratch)

    def forward(number: int, frame: FrameType | None) -> None:
        os.kill(child, number)

    for number in _FORWARDED:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL:
        text = "killed, perhaps for want of memory; `testbed report` makes of a run what it left"
        print(text, file=sys.stderr)  # noqa: T201
    return code if code >= 0 else 128 - code


def _become_first_process(command: list[str], scratch: Path) -> NoReturn:
    try:
        namespaces.die_with_parent()
        os.setpgid(0, 0)  # Ctrl-C reaches the launcher, which passes it on to this process alone
        outside = os.open("/proc/self/ns/net", os.O_RDONLY)
        os.set_inheritable(outside, True)
        own = namespaces.CLONE_NEWNS | namespaces.CLONE_NEWNET | namespaces.CLONE_NEWIPC
        namespaces.unshare(own)
        namespaces.loopback_up()
        namespaces.make_mounts_private()
        namespaces.mount("proc", Path("/proc"))
        namespaces.mount("tmpfs", scratch, "mode=0700,size=75%")
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a file for each layer held
        background.take_short_turns()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        ours = {SCRATCH_VARIABLE: str(scratch), _OUTSIDE_VARIABLE: f"/proc/self/fd/{outside}"}
        os.execve(command[0], command, os.environ | ours)
    except OSError as error:
        print(f"cannot set up the run's namespaces: {error}", file=sys.stderr)  # noqa: T201
    finally:
        os._exit(3)


def scratch_folder() -> Path:
    """Return the sandbox's temporary file system."""
    return Path(os.environ[SCRATCH_VARIABLE])


def outside_network() -> Path:
    """Return the file of the network namespace around the sandbox; for its first process only."""
    return Path(os.environ[_OUTSIDE_VARIABLE])


if __name__ == "__main__":
    sys.exit(launch(sys.argv[1:]))
