"""The controllers' northbound interface: requests and replies as lines of JSON on a Unix socket.

A request has a "type" (ready, move or counters) and one reply, an error among them:

    {"type": "move", "client": "c1", "access_point": "ap7", "deadline_s": 5}
    {"type": "moved", "flow_mods": 3, "switches": 3, "elapsed_s": 0.004}
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from io import BufferedIOBase
from pathlib import Path
from typing import TypeVar

import msgspec

from testbed.errors import EmulationError, ProtocolError, TestbedError

MAX_REQUEST_BYTES = 4096
MAX_REPLY_BYTES = 2**24  # counters of some ten thousand ports
DEADLINE_S = 5.0
# A reply may come this much later than the deadline that the controller itself keeps.
GRACE_S = 2.0
RETRY_S = 0.01

_log = logging.getLogger(__name__)


class ReadyRequest(msgspec.Struct, frozen=True, tag="ready", forbid_unknown_fields=True):
    """Answer when every switch is connected and has confirmed its flow table."""

    deadline_s: float = 30.0


class MoveRequest(msgspec.Struct, frozen=True, tag="move", forbid_unknown_fields=True):
    """Route a client to the access point that it is attached to from now on."""

    client: str
    access_point: str
    deadline_s: float = DEADLINE_S


class CountersRequest(msgspec.Struct, frozen=True, tag="counters", forbid_unknown_fields=True):
    """Read the counters of every switch's ports, with `flows` those of its routes too."""

    flows: bool = False
    deadline_s: float = DEADLINE_S


class ReadyResult(msgspec.Struct, frozen=True, tag="readied"):
    """All `switches` have confirmed `flows` routes together; `elapsed_s` since the request."""

    switches: int
    flows: int
    elapsed_s: float


class MoveResult(msgspec.Struct, frozen=True, tag="moved"):
    """A move's changes of flow tables, confirmed by all changed switches after `elapsed_s`."""

    flow_mods: int
    switches: int
    elapsed_s: float


class PortCounters(msgspec.Struct, frozen=True):
    """Counters of a switch's port since the port was added; `neighbour` is what it leads to.

    Received (`rx`) is what the neighbour sent to the switch.
    """

    switch: str
    port: int
    neighbour: str
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int
    rx_dropped: int
    tx_dropped: int


class FlowCounters(msgspec.Struct, frozen=True):
    """What a switch's route to an address has carried since it was installed."""

    switch: str
    address: str
    packets: int
    bytes: int


class Counters(msgspec.Struct, frozen=True, tag="counted"):
    """All ports in the network, and by switch the packets dropped since no route matched them."""

    ports: tuple[PortCounters, ...]
    missed_packets: dict[str, int]
    flows: tuple[FlowCounters, ...] = ()


class ErrorReply(msgspec.Struct, frozen=True, tag="error"):
    """Why a request could not be fulfilled."""

    text: str


_Result = TypeVar("_Result", ReadyResult, MoveResult, Counters)
Request = ReadyRequest | MoveRequest | CountersRequest
Reply = ReadyResult | MoveResult | Counters | ErrorReply


class Northbound:
    """A connection to a running controller; threads may share it and take turns.

    Every method raises EmulationError when the controller reports an error or does not answer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None

    def __enter__(self) -> Northbound:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self, deadline_s: float) -> None:
        """Connect as soon as the controller is there, which then listens for switches as well."""
        give_up_s = time.monotonic() + deadline_s
        with self._lock:
            while self._socket is None:
                try:
                    self._socket = self._connected()
                except OSError as error:
                    if time.monotonic() >= give_up_s:
                        silent = f"no controller answers at {self.path} after {deadline_s:g} s"
                        raise EmulationError(f"{silent}: {error}") from error
                    time.sleep(RETRY_S)  # a socket file's appearance can only be asked for again

    def wait_ready(self, deadline_s: float = 30.0) -> ReadyResult:
        """Wait until every switch is connected and has confirmed its flow table."""
        started_s = time.monotonic()
        self.connect(deadline_s)
        left_s = max(0.0, deadline_s - (time.monotonic() - started_s))
        return self._ask(ReadyRequest(left_s), ReadyResult)

    def move(self, client: str, access_point: str) -> MoveResult:
        """Route a client to its access point; returns when all switches have confirmed it."""
        return self._ask(MoveRequest(client, access_point), MoveResult)

    def counters(self, *, flows: bool = False) -> Counters:
        """Return the counters of every switch's ports, and of its routes, as they are now."""
        return self._ask(CountersRequest(flows), Counters)

    def close(self) -> None:
        """End the connection; the controller goes on."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self.path))
        except OSError:
            connection.close()
            raise
        return connection

    def _exchange(self, request: Request) -> Reply:
        self.connect(DEADLINE_S)
        assert self._socket is not None
        self._socket.settimeout(request.deadline_s + GRACE_S)
        self._socket.sendall(msgspec.json.encode(request) + b"\n")
        with self._socket.makefile("rb") as stream:
            if (line := _read_line(stream, MAX_REPLY_BYTES)) is None:
                raise ProtocolError("it has ended")
        return msgspec.json.decode(line, type=Reply)

    def _ask(self, request: Request, expected: type[_Result]) -> _Result:
        with self._lock:
            try:
                reply = self._exchange(request)
            except (OSError, ProtocolError, msgspec.DecodeError) as error:
                self.close()  # a late reply must not be taken for the next request's
                raise EmulationError(f"controller at {self.path}: {error}") from error
        if not isinstance(reply, expected):
            text = reply.text if isinstance(reply, ErrorReply) else f"unexpected reply {reply!r}"
            raise EmulationError(f"controller: {text}")
        return reply


@contextlib.contextmanager
def serve(path: Path, answer: Callable[[Request], Reply]) -> Iterator[None]:
    """Answer requests at a Unix socket, each connection in a thread, until the context ends.

    What `answer` raises becomes an ErrorReply. Raises OSError when the socket cannot be made.
    """
    if path.is_socket():
        path.unlink()  # left behind by a controller that was killed
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
        threading.Thread(target=_accept, args=(listener, answer), daemon=True).start()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts


def _accept(listener: socket.socket, answer: Callable[[Request], Reply]) -> None:
    with contextlib.suppress(OSError):  # that the listener has been shut down
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_converse, args=(connection, answer), daemon=True).start()


def _converse(connection: socket.socket, answer: Callable[[Request], Reply]) -> None:
    with connection, connection.makefile("rb") as stream, contextlib.suppress(ConnectionError):
        try:
            while (line := _read_line(stream, MAX_REQUEST_BYTES)) is not None:
                connection.sendall(msgspec.json.encode(_reply(answer, line)) + b"\n")
        except ProtocolError as error:
            connection.sendall(msgspec.json.encode(ErrorReply(str(error))) + b"\n")


def _reply(answer: Callable[[Request], Reply], line: bytes) -> Reply:
    try:
        return answer(msgspec.json.decode(line, type=Request))
    except msgspec.DecodeError as error:
        return ErrorReply(f"request not understood: {error}")
    except TestbedError as error:
        return ErrorReply(str(error))
    except Exception as error:
        _log.exception("request failed: %r", line)
        return ErrorReply(f"internal error, see the controller's log: {error!r}")


def _read_line(stream: BufferedIOBase, limit_bytes: int) -> bytes | None:
    """Return the next line, None at the end; raises ProtocolError for one that is too long."""
    line = stream.readline(limit_bytes + 1)
    if len(line) > limit_bytes:
        raise ProtocolError(f"a line of more than {limit_bytes} bytes")
    return line if line.endswith(b"\n") else None
