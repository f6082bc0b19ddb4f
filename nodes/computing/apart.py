"""Work done in a process of its own, which ends: the memory that it took goes with it.

A pass of a model leaves 60 to 180 MB with the process that makes it (PyTorch's caches, and a heap
in pieces). Where hundreds of nodes make one now and then, that grows by gigabytes in ten minutes.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import stat
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import NoReturn

import msgspec
import torch

from testbed import frames
from testbed.errors import EmulationError, ProtocolError

_log = logging.getLogger(__name__)


class Returned(msgspec.Struct, frozen=True, tag=True):
    """What the work returned."""

    returned: bytes


class Raised(msgspec.Struct, frozen=True, tag=True):
    """The reason of a ProtocolError that the work raised."""

    reason: str


class Apart:
    """A fork of this process that does `work`; `when_idle`: while nothing else wants to compute.

    To be called while no other thread computes: PyTorch's locks would stay locked in the fork.
    """

    def __init__(self, work: Callable[[], bytes], *, when_idle: bool = False) -> None:
        self._reader, writer = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            end_with(partial(_do, work, writer, when_idle=when_idle), "executing apart")
        os.close(writer)

    def returned(self) -> bytes:
        """Wait for the work; return what it returned.

        Raises ProtocolError if the work did, EmulationError if it failed in any other way.
        """
        outcome = frames.read(self._reader, Returned | Raised)
        os.close(self._reader)
        with contextlib.suppress(ChildProcessError):  # the kernel reaps this process's children
            os.waitpid(self._pid, 0)
        if outcome is None:
            raise EmulationError("what was executed apart has failed; see log.txt")
        if isinstance(outcome, Raised):
            raise ProtocolError(outcome.reason)
        return outcome.returned


def end_with(work: Callable[[], object], what: str) -> NoReturn:
    """Do a fork's work and end it: with status 0, or 1 and what failed in the log, as `what`."""
    status = 1
    try:
        work()
        status = 0
    except BaseException:
        _log.exception("%s", what)
    finally:
        logging.shutdown()
        os._exit(status)


def _do(work: Callable[[], bytes], writer: int, *, when_idle: bool) -> None:
    close_sockets()
    torch.set_num_threads(1)  # OpenMP's other threads are not in the fork
    gc.disable()  # it would copy the pages that are shared with the parent
    if when_idle:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    outcome: Returned | Raised
    try:
        outcome = Returned(work())
    except ProtocolError as error:
        outcome = Raised(str(error))
    # The parent may have ended
    with contextlib.suppress(BrokenPipeError):
        frames.write(writer, outcome)


def close_sockets(but: Collection[int] = ()) -> None:
    """Close all sockets that a fork has inherited, but for some.

    A peer sees a connection's end when the last process that has it closes it.
    """
    for entry in Path("/proc/self/fd").iterdir():
        descriptor = int(entry.name)
        try:
            is_socket = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
        except OSError:  # the listing's own
            continue
        if is_socket and descriptor not in but:
            os.close(descriptor)
