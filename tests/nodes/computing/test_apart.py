"""Work in a process that ends."""

from __future__ import annotations

import os
import socket

import pytest

from nodes.computing.apart import Apart
from testbed.errors import EmulationError, ProtocolError


def refuse() -> bytes:
    raise ProtocolError("layer 3 has no weights here")


def fail() -> bytes:
    raise ZeroDivisionError


def test_what_the_work_returns_comes_back() -> None:
    large = os.urandom(1 << 20)  # more than a pipe holds
    assert Apart(lambda: large).returned() == large


def test_it_is_another_process_which_is_gone_afterwards() -> None:
    pid = int(Apart(lambda: str(os.getpid()).encode()).returned())
    assert pid != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_work_for_idle_time_gives_way_to_all_else() -> None:
    scheduler = Apart(lambda: bytes([os.sched_getscheduler(0)]), when_idle=True).returned()
    assert scheduler[0] == os.SCHED_IDLE
    assert os.sched_getscheduler(0) != os.SCHED_IDLE


def test_what_is_refused_there_is_refused_here() -> None:
    with pytest.raises(ProtocolError, match="layer 3 has no weights here"):
        Apart(refuse).returned()


def test_what_fails_there_is_an_error_here() -> None:
    with pytest.raises(EmulationError, match=r"log\.txt"):
        Apart(fail).returned()


def test_a_connection_that_is_closed_here_does_not_stay_open_there() -> None:
    ours, peers = socket.socketpair()
    go_on, let_go = os.pipe()
    apart = Apart(lambda: os.read(go_on, 1))
    ours.close()
    peers.settimeout(10)
    assert peers.recv(1) == b""  # while the work is still under way
    os.write(let_go, b"!")
    assert apart.returned() == b"!"
    peers.close()
    os.close(go_on)
    os.close(let_go)
