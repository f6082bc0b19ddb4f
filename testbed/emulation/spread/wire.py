"""What the machine where a run was started and the others say to each other, over SSH.

They are messages of `testbed.frames`. The other end of standard input and output is the same
version of the testbed, under the same user's control; they are bounded and have a schema
nevertheless.
"""

from __future__ import annotations

import threading
from typing import IO, Any

import msgspec

from nodes.setup import ComputeMode, NodeSetup, Role
from testbed import frames
from testbed.clock import RunClock
from testbed.emulation.evidence.monitor import Readings
from testbed.emulation.network.shaping import Shape
from testbed.emulation.spread.tunnels import Tunnel

MAX_FRAME_BYTES = 1 << 24
#: An end that is silent for so long counts as gone; each speaks more often.
SILENCE_S = 30.0
HEARTBEAT_S = 5.0
PIECE_BYTES = 1 << 20  # of a recorded file, in a message


class WireMessage(msgspec.Struct, frozen=True, tag=True):
    """Base of the messages."""


class Hello(WireMessage, frozen=True):
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
    uplink: Shape


class MakeHosts(WireMessage, frozen=True):
    """Make these access points."""

    hosts: tuple[HostPart, ...]


class Prepare(WireMessage, frozen=True):
    """Get ready to start nodes; `build`: build the clients' models too, whose outputs they need."""

    setup: NodeSetup
    mode: ComputeMode
    build: bool


class Launch(WireMessage, frozen=True):
    """Start a node on its access point."""

    name: str
    role: Role
    mode: ComputeMode


class RouteClient(WireMessage, frozen=True):
    """Route to a client by an access point's radio; without a hardware address, stop routing."""

    access_point: str
    address: str
    mac: str | None


class ReadClock(WireMessage, frozen=True):
    """Say what the monotonic clock there shows."""


class Watch(WireMessage, frozen=True):
    """Watch the machine from now on; the clock is the run's, as it reads there."""

    clock: RunClock


class Read(WireMessage, frozen=True):
    """Say what the watch has read so far."""


class Collect(WireMessage, frozen=True):
    """Send what was recorded, as `Piece`s."""


class Fulfilled(WireMessage, frozen=True):
    """A request has been fulfilled."""


class Clock(WireMessage, frozen=True):
    """What the monotonic clock shows, in seconds."""

    monotonic_s: float


class Watched(WireMessage, frozen=True):
    """What a watch has read."""

    readings: Readings


class Unfulfilled(WireMessage, frozen=True):
    """A request could not be fulfilled."""

    reason: str


class Piece(WireMessage, frozen=True):
    """The next bytes of a recorded file."""

    file: str
    data: bytes


class Said(WireMessage, frozen=True):
    """Bytes on a node's control channel, in either direction; none when it is closed."""

    node: str
    data: bytes


class Alive(WireMessage, frozen=True):
    """There was nothing else to say for a while."""


Request = MakeHosts | Prepare | Launch | RouteClient | ReadClock | Watch | Read | Collect
Reply = Fulfilled | Clock | Watched | Unfulfilled


class Call(WireMessage, frozen=True):
    """A request with a number of its own."""

    number: int
    request: Request


class CallResult(WireMessage, frozen=True):
    """The reply to the request of this number."""

    number: int
    reply: Reply


ToMachine = Call | Said | Alive
FromMachine = Hello | CallResult | Said | Piece | Alive


class Writer:
    """Writes messages; threads may share it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def write(self, message: WireMessage) -> None:
        """Write a message; OSError or ValueError if the other end has gone."""
        with self._lock:
            frames.write(self._stream.fileno(), message)

    def close(self) -> None:
        """Let the other end know that nothing more comes."""
        with self._lock:
            self._stream.close()


def read(stream: IO[bytes], kind: Any) -> Any:
    """Return the next message, `ToMachine` or `FromMachine`; None at the end.

    Raises ProtocolError if what comes is no such message.
    """
    return frames.read(stream.fileno(), kind, max_bytes=MAX_FRAME_BYTES)
