"""Removing what a run left that was killed, and nothing else.

A run's processes, links and mounts end with its sandbox, which the kernel ends with its launcher
(see `testbed.emulation.sandbox`). What `kill -9` leaves is the sandbox's empty mount point; and,
should the launcher die before the kernel is told to end the sandbox with it, the sandbox. Both are
recognised by what nobody else has: a mount point by its place, its name and its dead launcher, a
sandbox by being process 1 of a PID namespace that has our variable in its environment, or that
still runs the launcher's program.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from testbed.emulation.sandbox.sandbox import SCRATCH_ROOT, SCRATCH_VARIABLE
from testbed.errors import EmulationError, MachineError

_LAUNCHER = ("-m", "testbed.emulation.sandbox.sandbox")
_FOLDER_NAME = re.compile(r"(\d+)-[a-z0-9_]{8}")  # launcher's pid, and what tempfile adds
_CLOCK_S = 2.0  # a process's start is known by the clock's ticks since boot, and boot to the second
_END_S = 30.0  # for the kernel to end hundreds of processes
_PF_EXITING = 0x4  # in the flags of /proc/PID/stat (linux/sched.h)


@dataclass(frozen=True)
class Process:
    """What identifies a process."""

    pid: int
    parent: int
    started_unix_s: float
    command: tuple[str, ...]
    first: bool = False  # process 1 of a PID namespace below ours
    exiting: bool = False
    scratch: str | None = None  # what the variable of a sandbox says

    @property
    def launches(self) -> bool:
        """Whether it runs the launcher's program."""
        return self.command[1:3] == _LAUNCHER

    @property
    def is_sandbox(self) -> bool:
        """Whether it is the first process of a sandbox, already running or being set up."""
        inside = self.scratch is not None and Path(self.scratch).parent == SCRATCH_ROOT
        return self.first and (inside or self.launches)


@dataclass(frozen=True)
class Folder:
    """A mount point of a run, which is empty seen from outside the run's sandbox."""

    path: Path
    created_unix_s: float

    @property
    def launcher(self) -> int | None:
        """The pid of the launcher that made it, by its name; None for something else's folder."""
        match = _FOLDER_NAME.fullmatch(self.path.name)
        return int(match.group(1)) if match else None


@dataclass(frozen=True)
class Leftovers:
    """What no launcher answers for."""

    sandboxes: tuple[Process, ...]
    folders: tuple[Folder, ...]


@dataclass(frozen=True)
class Cleaned:
    """What was ended and removed, and folders that were not, since something lies in them."""

    sandboxes: tuple[int, ...] = ()
    folders: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()


def leftovers(processes: Iterable[Process], folders: Iterable[Folder]) -> Leftovers:
    """Decide what is left over: sandboxes without a launcher, and folders that no run uses."""
    processes = list(processes)
    launchers = {each.pid: each for each in processes if each.launches and not each.first}
    sandboxes = [each for each in processes if each.is_sandbox]
    used = {each.scratch for each in sandboxes if each.parent in launchers}

    def is_left(folder: Folder) -> bool:
        if folder.launcher is None or str(folder.path) in used:
            return False
        launcher = launchers.get(folder.launcher)
        # A process that started after the folder was made only has the launcher's old number
        return launcher is None or launcher.started_unix_s > folder.created_unix_s + _CLOCK_S

    return Leftovers(
        tuple(each for each in sandboxes if each.parent not in launchers),
        tuple(folder for folder in folders if is_left(folder)),
    )


def clean(root: Path = SCRATCH_ROOT) -> Cleaned:
    """Remove what killed runs left; runs that are going on, and all else, stay untouched.

    Raises MachineError if not called as root, EmulationError if a sandbox does not end.
    """
    if os.geteuid() != 0:
        raise MachineError("testbed clean: needs root to see other processes; prefix it with sudo")
    processes = observe_processes()
    found = leftovers(processes, observe_folders(root))
    for sandbox in found.sandboxes:
        if not _end(sandbox):
            raise EmulationError(f"process {sandbox.pid} did not end within {_END_S:g} s")
    for process in processes:
        if process.first and process.exiting:  # it could be a sandbox: its memory is gone
            _end(process)
    removed = tuple(folder.path for folder in found.folders if _remove(folder.path))
    kept = tuple(folder.path for folder in found.folders if folder.path not in removed)
    _remove(root)
    return Cleaned(tuple(each.pid for each in found.sandboxes), removed, kept)


def observe_processes() -> list[Process]:
    """Return all processes of the machine."""
    return [process for pid in psutil.pids() if (process := _observe(pid)) is not None]


def observe_folders(root: Path) -> list[Folder]:
    """Return the folders in which runs mount their temporary file systems."""
    if not root.is_dir():
        return []
    paths = sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink())
    return [Folder(path, path.stat().st_mtime) for path in paths]


def _observe(pid: int) -> Process | None:
    """Return what identifies a process; None if the process has ended."""
    proc = Path("/proc", str(pid))
    try:
        # After the program's name, which may hold anything: state, parent, ..., flags, ..., start
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        namespace_pids = _value((proc / "status").read_text().splitlines(), "NSpid:").split()
    except OSError:
        return None
    first = len(namespace_pids) > 1 and namespace_pids[-1] == "1"
    environment = _strings(proc / "environ") if first else []
    return Process(
        pid=pid,
        parent=int(fields[1]),
        started_unix_s=psutil.boot_time() + int(fields[19]) / os.sysconf("SC_CLK_TCK"),
        command=tuple(_strings(proc / "cmdline")),
        first=first,
        exiting=bool(int(fields[6]) & _PF_EXITING),
        scratch=_value(environment, SCRATCH_VARIABLE + "=") or None,
    )


def _strings(file: Path) -> list[str]:
    """Return the strings in a process's memory; none of a process that is ending."""
    with contextlib.suppress(OSError):
        return file.read_text(errors="replace").split("\0")[:-1]
    return []


def _value(lines: Iterable[str], start: str) -> str:
    """Return the rest of the line that starts so; nothing if none does."""
    return next((line.removeprefix(start) for line in lines if line.startswith(start)), "")


def _end(process: Process) -> bool:
    """Kill a sandbox's first process, and so all of it; return whether it has ended in time."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        # The number cannot become another process's from here on, but it could have before
        now = _observe(process.pid)
        if now is None or abs(now.started_unix_s - process.started_unix_s) > _CLOCK_S:
            return True
        if now.is_sandbox:
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)  # readable once the process has ended
        return bool(poll.poll(_END_S * 1e3))
    finally:
        os.close(descriptor)


def _remove(folder: Path) -> bool:
    """Remove a folder if it is empty; return whether it is gone."""
    with contextlib.suppress(OSError):
        folder.rmdir()
        return True
    return False
