from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from controllers.northbound import (
    MAX_REQUEST_BYTES,
    Counters,
    MoveRequest,
    MoveResult,
    Northbound,
    PortCounters,
    ReadyRequest,
    ReadyResult,
    Reply,
    Request,
    serve,
)
from testbed.errors import EmulationError

COUNTERS = Counters((PortCounters("s1", 1, "ap1", 1, 2, 3, 4, 5, 6),), {"s1": 7})


def answer(request: Request) -> Reply:
    if isinstance(request, ReadyRequest):
        return ReadyResult(1, 2, 0.5)
    if isinstance(request, MoveRequest):
        if request.client == "crash":
            raise ZeroDivisionError("crash")
        if request.client != "c1":
            raise EmulationError(f"no client {request.client}")
        return MoveResult(3, 2, 0.25)
    return COUNTERS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "northbound.sock"


def test_each_request_gets_its_reply(path: Path) -> None:
    with serve(path, answer), Northbound(path) as controller:
        assert controller.wait_ready(5) == ReadyResult(1, 2, 0.5)
        assert controller.move("c1", "ap1") == MoveResult(3, 2, 0.25)
        assert controller.counters() == COUNTERS


def test_a_failed_request_is_an_error_and_the_connection_goes_on(path: Path) -> None:
    with serve(path, answer), Northbound(path) as controller:
        with pytest.raises(EmulationError, match="no client c2"):
            controller.move("c2", "ap1")
        with pytest.raises(EmulationError, match=r"internal error.*ZeroDivisionError"):
            controller.move("crash", "ap1")
        assert controller.move("c1", "ap1").switches == 2


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"hello\n", b"request not understood"),
        (b'{"type":"stop"}\n', b"request not understood"),
        (b'{"type":"move","client":"c1"}\n', b"access_point"),
        (b'{"type":"ready","deadline":1}\n', b"deadline"),
        (b"x" * (MAX_REQUEST_BYTES + 1), b"a line of more than 4096 bytes"),
    ],
)
def test_what_is_no_request_gets_an_error_reply(path: Path, line: bytes, text: bytes) -> None:
    with serve(path, answer), socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(path))
        raw.sendall(line)
        with raw.makefile("rb") as replies:
            reply = replies.readline()
    assert reply.startswith(b'{"type":"error"') and text in reply


def test_the_client_waits_for_a_controller_that_is_still_starting(path: Path) -> None:
    done = threading.Event()

    def start_later() -> None:
        with serve(path, answer):
            done.wait(10)

    later = threading.Timer(0.2, start_later)
    later.start()
    try:
        with Northbound(path) as controller:
            assert controller.wait_ready(10).switches == 1
    finally:
        done.set()
        later.join()


def test_a_controller_that_is_not_there_is_an_error(path: Path) -> None:
    with pytest.raises(EmulationError, match=r"no controller answers at .*northbound.sock"):
        Northbound(path).wait_ready(0.05)


def test_the_socket_is_gone_afterwards_and_a_stale_one_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with serve(path, answer):
        assert path.is_socket()
    assert not path.exists()


def test_an_ordinary_file_is_not_replaced_by_the_socket(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(OSError, match="in use"), serve(path, answer):
        pass
    assert path.read_text() == "precious"
