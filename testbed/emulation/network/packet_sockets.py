"""Room for what waits at Open vSwitch's ports, so that the emulated links' queues can be full.

The userspace datapath sends to all ports of a process with one packet socket, and what lies in
their queues counts as unsent: with the default all of them together have 200 kB, and what comes
beyond is lost, of whatever class it is. The default is the whole machine's; here the sockets of one
process alone get more. Those that receive keep theirs: with more, Open vSwitch works off such
bursts that computations are late.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import socket
from pathlib import Path

_SYSCALL_PIDFD_GETFD = 438  # of every architecture (Linux 5.6)
_SO_SNDBUFFORCE = 32
# As the kernel counts, with what it adds to each packet; taken only when needed
_SEND_BYTES = 128 << 20  # the full queues of a process's ports


def enlarge_buffers(pid: int) -> int:
    """Enlarge the send buffers of a process's packet sockets; return of how many.

    Raises OSError if the kernel does not let this process at the other's sockets.
    """
    folder = Path("/proc", str(pid))
    lines = (folder / "net" / "packet").read_text().splitlines()[1:]
    inodes = {line.split()[-1] for line in lines}
    enlarged = 0
    pidfd = os.pidfd_open(pid)
    try:
        for descriptor in (folder / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                match = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
                if match and match.group(1) in inodes:
                    _enlarge(pidfd, int(descriptor.name))
                    enlarged += 1
    finally:
        os.close(pidfd)
    return enlarged


def _enlarge(pidfd: int, descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.syscall(_SYSCALL_PIDFD_GETFD, pidfd, descriptor, 0)
    if number < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    with socket.socket(fileno=number) as copy:
        copy.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BYTES)
