"""What the machine where a run was started and the others say to each other, over SSH.

Frames: a length (4 bytes, big-endian) and so many bytes of MessagePack. The other end of standard
input and output is the same version of the testbed, under the same user's control; frames are
bounded and have a schema nevertheless.
"""

from __future__ import annotations

import struct
import threading
from typing import IO, TypeVar

import msgspec

from nodes.setup import ComputeMode, NodeSetup, Role
from testbed.clock import RunClock
from testbed.emulation.monitor import Readings
from testbed.emulation.tunnels import Tunnel
from testbed.errors import ProtocolError

MAX_FRAME_BYTES = 1 << 24
#: Either end takes the other for gone that has said nothing for so long; each speaks more often.
SILENCE_S = 30.0
HEARTBEAT_S = 5.0
PIECE_BYTES = 1 << 20  # of a recorded file, in a message

M = TypeVar("M")

_LENGTH = struct.Struct(">I")


class Message(msgspec.Struct, frozen=True, tag=True):
    """Base of the messages."""


class Hello(Message, frozen=True):
    """First, from there: the addresses of both ends, and what the machine is (for the manifest)."""

    there: str
    here: str
    version: str
    git_commit: str | None
    kernel: str
    processors: int
    memory_bytes: int


class HostPart(msgspec.Struct, frozen=True):
    """An access point that is to be made there; both its interfaces are ends of tunnels."""

    name: str
    address: str
    mac: str
    backhaul: Tunnel
    radio: Tunnel
    rate_bps: float
    queue_bytes: int


class Settle(Message, frozen=True):
    """Make these access points."""

    hosts: tuple[HostPart, ...]


class Prepare(Message, frozen=True):
    """Get ready to start nodes; `build`: build the clients' models too, whose outputs they need."""

    setup: NodeSetup
    mode: ComputeMode
    build: bool


class Launch(Message, frozen=True):
    """Start a node on its access point."""

    name: str
    role: Role
    mode: ComputeMode


class Route(Message, frozen=True):
    """Route to a client by an access point's radio ("replace"), or no more ("del")."""

    access_point: str
    action: str
    address: str
    mac: str


class ReadClock(Message, frozen=True):
    """Say what the monotonic clock there shows."""


class Watch(Message, frozen=True):
    """Watch the machine from now on; the clock is the run's, as it reads there."""

    clock: RunClock


class Read(Message, frozen=True):
    """Say what the watch has read so far."""


class Collect(Message, frozen=True):
    """Send what was recorded, as `Piece`s."""


class Done(Message, frozen=True):
    """A request has been fulfilled."""


class Clock(Message, frozen=True):
    """What the monotonic clock shows, in seconds."""

    monotonic_s: float


class Watched(Message, frozen=True):
    """What a watch has read."""

    readings: Readings


class Refused(Message, frozen=True):
    """A request could not be fulfilled."""

    reason: str


class Piece(Message, frozen=True):
    """The next bytes of a recorded file."""

    file: str
    data: bytes


class Said(Message, frozen=True):
    """Bytes on a node's control channel, in either direction; none when it is closed."""

    node: str
    data: bytes


class Alive(Message, frozen=True):
    """Nothing else was to say for a while."""


Request = Settle | Prepare | Launch | Route | ReadClock | Watch | Read | Collect
Reply = Done | Clock | Watched | Refused


class Ask(Message, frozen=True):
    """A request with a number of its own."""

    number: int
    request: Request


class Answer(Message, frozen=True):
    """The reply to the request of this number."""

    number: int
    reply: Reply


There = Ask | Said | Alive
Here = Hello | Answer | Said | Piece | Alive

_there = msgspec.msgpack.Decoder(There)
_here = msgspec.msgpack.Decoder(Here)


class Writer:
    """Writes frames; threads may share it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, message: Message) -> None:
        """Write a frame; OSError or ValueError if the other end has gone."""
        body = msgspec.msgpack.encode(message)
        with self._lock:
            self._stream.write(_LENGTH.pack(len(body)) + body)
            self._stream.flush()


def read_there(stream: IO[bytes]) -> There | None:
    """Return the next message to the machine there, None at the end.

    Raises:
        ProtocolError: what comes is none.
    """
    return _read(stream, _there)


def read_here(stream: IO[bytes]) -> Here | None:
    """Return the next message from the machine there, None at the end.

    Raises:
        ProtocolError: what comes is none.
    """
    return _read(stream, _here)


def _read(stream: IO[bytes], decoder: msgspec.msgpack.Decoder[M]) -> M | None:
    body = _frame(stream)
    try:
        return None if body is None else decoder.decode(body)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not understood: {error}") from error


def _frame(stream: IO[bytes]) -> bytes | None:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > MAX_FRAME_BYTES:
        raise ProtocolError(f"a frame of {size} bytes; {MAX_FRAME_BYTES} are the limit")
    body = stream.read(size)
    return body if len(body) == size else None
