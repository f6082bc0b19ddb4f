"""Linux namespaces, mounts and parent-death signals: the system calls Python 3.11 lacks."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000
_PR_SET_PDEATHSIG = 1
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

_THIS_NETWORK = Path("/proc/thread-self/ns/net")

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process (for CLONE_NEWPID: its future children) into new namespaces."""
    _check(_libc.unshare(flags), "unshare")


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def make_mounts_private() -> None:
    """Keep mounts made from here on out of every other mount namespace."""
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount --make-rprivate")


def mount(kind: str, target: Path, options: str = "") -> None:
    """Mount a new file system of this kind ("proc", "sysfs", "tmpfs")."""
    result = _libc.mount(kind.encode(), bytes(target), kind.encode(), 0, options.encode())
    _check(result, f"mount -t {kind} {target}")


def loopback_up() -> None:
    """Set this network namespace's loopback interface up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def network_of(pid: int) -> Path:
    """Return the file of a process's network namespace."""
    return Path(f"/proc/{pid}/ns/net")


def new_network(file: Path) -> Path:
    """Make a network namespace that lasts as long as a mount on this new file; return the file."""
    file.parent.mkdir(exist_ok=True)
    file.touch(exist_ok=False)
    with _leaving():
        unshare(CLONE_NEWNET)
        source, target = bytes(_THIS_NETWORK), bytes(file)
        _check(_libc.mount(source, target, None, _MS_BIND, None), f"mount --bind on {file}")
    return file


def enter_network(namespace: Path) -> None:
    """Move this thread into the network namespace of a file."""
    with namespace.open("rb") as file:
        _check(_libc.setns(file.fileno(), CLONE_NEWNET), f"setns to {namespace}")


@contextmanager
def inside_network(namespace: Path) -> Iterator[None]:
    """Run a block in the network namespace of a file; sockets made there stay there."""
    with _leaving():
        enter_network(namespace)
        yield


def interface_index(namespace: Path, interface: str) -> int:
    """Return the index of an interface in the network namespace of a file."""
    with inside_network(namespace):
        return socket.if_nametoindex(interface)


@contextmanager
def _leaving() -> Iterator[None]:
    """Return to this thread's network namespace after a block."""
    with _THIS_NETWORK.open("rb") as home:
        try:
            yield
        finally:
            _check(_libc.setns(home.fileno(), CLONE_NEWNET), "setns back")
