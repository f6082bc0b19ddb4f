"""A TCP connection that carries the testbed's frames."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import BinaryIO, TypeVar

from nodes.transport.byte_stream import ByteStream
from testbed.decision.goodput import Reading
from testbed.errors import ProtocolError
from testbed.protocol.framing import PREAMBLE, frame_head, parse_header, parse_preamble
from testbed.protocol.messages import AnyMessage, Message

_log = logging.getLogger(__name__)

MessageT = TypeVar("MessageT", bound=Message)

#: Set on every socket: the machine's default may be bbr, which shares a link unlike cubic.
CONGESTION_CONTROL = "cubic"

_SO_MAX_PACING_RATE = 47  # asm-generic/socket.h; Python has no name for it
_UNPACED_BYTES_S = (1 << 32) - 2  # all ones mean no limit
_WAKE_BYTES = 1 << 18  # 60 ms at 35 Mbit/s
_BACKLOG = 1024  # all servers of a run come to the master at once
_TCP_INFO_BYTES = 216  # up to tcpi_bytes_retrans (linux/tcp.h)
_SEGMENTS_OUT_AT = 136
_BYTES_SENT_AND_REPEATED_AT = 200
#: Ethernet, IPv4 and TCP with timestamps.
_FRAME_HEADER_BYTES = 14 + 20 + 32


class Connection:
    """Frames over one TCP connection; bodies may be streamed in both directions.

    `file_bytes` counts the bytes of files that the socket took, also of a body that was cut off,
    `frame_bytes` everything else that was sent: preambles, headers and other bodies. `reading` is
    how fast the last whole body came (wall time), from when it was begun to be read.
    """

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.file_bytes = 0
        self.frame_bytes = 0
        self.reading = Reading(0, 0.0)
        self._wire_bytes = self._payload_bytes = 0
        self.port: int = stream.socket.getsockname()[1]
        _configure(stream.socket)

    @classmethod
    async def open(cls, address: str, port: int) -> Connection:
        """Connect to a listening node."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        _configure(sock)
        try:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(sock, (address, port))
            _, stream = await loop.create_connection(ByteStream, sock=sock)
            return cls(stream)
        except BaseException:
            sock.close()
            raise

    async def send(self, message: AnyMessage, body: bytes | memoryview = b"") -> None:
        """Send a frame; returns when it is in the socket's buffer or nearly so."""
        self._write(frame_head(message, len(body)))
        if len(body):
            self._write(body)
        await self._stream.drain()

    def post(self, message: AnyMessage) -> None:
        """Send a frame without a body; the buffer takes it, nothing waits."""
        self._write(frame_head(message))

    async def send_file(
        self, message: AnyMessage, file: BinaryIO, offset_bytes: int, count: int
    ) -> None:
        """Send a frame whose body is `count` bytes of a file."""
        self._write(frame_head(message, count))
        await self._stream.write_file(file, offset_bytes, count, self._count)
        self._update_counters()

    async def receive_head(self) -> tuple[AnyMessage, int] | None:
        """Return the next message and the length of the body that follows; None at the end.

        Raises ProtocolError if what came is no frame, or the peer ended within one.
        """
        preamble = await self._stream.read_exactly(PREAMBLE.size)
        if not preamble:
            return None
        if len(preamble) < PREAMBLE.size:
            raise ProtocolError("the peer ended within a frame's preamble")
        header_bytes, body_bytes = parse_preamble(preamble)
        header = await self._stream.read_exactly(header_bytes)
        if len(header) < header_bytes:
            raise ProtocolError(f"the peer ended after {len(header)} of {header_bytes} bytes")
        return parse_header(header), body_bytes

    async def receive(self, most_body_bytes: int = 0) -> tuple[AnyMessage, memoryview] | None:
        """Return the next message with its whole body; None when the peer has ended.

        Raises ProtocolError for what is no frame, or a body that is longer than expected.
        """
        if (head := await self.receive_head()) is None:
            return None
        message, body_bytes = head
        return message, await self.whole_body(body_bytes, most_body_bytes)

    async def incoming(self) -> AsyncIterator[AnyMessage]:
        """Yield messages, which have no bodies, until the peer ends."""
        while (received := await self.receive()) is not None:
            yield received[0]

    async def expect(self, kind: type[MessageT], called: str) -> MessageT:
        """Return the next message; ProtocolError if it is not of this kind."""
        received = await self.receive()
        message = received and received[0]
        if not isinstance(message, kind):
            raise ProtocolError(f"expected {called}, got {message!r}")
        return message

    async def whole_body(self, body_bytes: int, most_body_bytes: int) -> memoryview:
        """Return the body that follows a head; ProtocolError if it is longer than expected."""
        if body_bytes > most_body_bytes:
            raise ProtocolError(f"a body of {body_bytes} bytes, at most {most_body_bytes} expected")
        begun_s, before = time.monotonic(), self._stream.arrived_bytes
        whole, count = memoryview(bytearray(body_bytes)), 0
        async for piece in self.body(body_bytes):
            whole[count : count + len(piece)] = piece
            count += len(piece)
        self.reading = Reading(max(0, body_bytes - before), time.monotonic() - begun_s)
        return whole

    async def body(self, body_bytes: int) -> AsyncIterator[memoryview]:
        """Yield a body piece by piece as it arrives; a piece is good until the next.

        Once nothing of it is buffered here, the kernel is asked to wake this process only for
        larger pieces: at 35 Mbit/s a wake-up for each frame would cost most of the processor time
        of a run.
        """
        stream = self._stream
        low_water = 1
        try:
            while body_bytes:
                coming = body_bytes - stream.buffered_bytes
                best = max(1, min(coming, _WAKE_BYTES))
                # More than what is left would never come
                if low_water > best or (not stream.buffered_bytes and low_water != best):
                    low_water = best
                    stream.wake_at(low_water)
                piece = await stream.read(body_bytes)
                if not piece:
                    text = f"the peer ended {body_bytes} bytes before a body's end"
                    raise ConnectionResetError(text)  # as one that moves on does
                body_bytes -= len(piece)
                yield piece
        finally:
            stream.wake_at(1)

    def pace(self, most_bps: float) -> None:
        """Have the kernel send at most so fast (SO_MAX_PACING_RATE)."""
        bytes_s = min(int(most_bps / 8), _UNPACED_BYTES_S)
        self._stream.socket.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, bytes_s)

    def wire_bytes(self) -> int:
        """Return what this end has put on the wire so far, in bytes of Ethernet frames.

        From the kernel's own counters (TCP_INFO): payload with retransmissions, and a header for
        each segment of at most one MSS, also where the device splits them.
        """
        self._update_counters()
        return self._wire_bytes

    def unsent_bytes(self) -> int:
        """Return what of `file_bytes` and `frame_bytes` has not been put on the wire yet."""
        self._update_counters()
        return self.file_bytes + self.frame_bytes - self._payload_bytes

    def _update_counters(self) -> None:
        if self._stream.is_closing:
            return  # the counters went with the socket; what was read last stands
        info = self._stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        (segments,) = struct.unpack_from("=I", info, _SEGMENTS_OUT_AT)
        payload, repeated = struct.unpack_from("=QQ", info, _BYTES_SENT_AND_REPEATED_AT)
        self._wire_bytes = payload + segments * _FRAME_HEADER_BYTES
        self._payload_bytes = payload - repeated

    def _write(self, data: bytes | memoryview) -> None:
        self.frame_bytes += len(data)
        self._stream.write(data)

    async def close(self) -> None:
        """Close in order, after what is buffered has been sent."""
        await self._stream.close()

    def abort(self) -> None:
        """Close at once: what is buffered is thrown away and the peer gets a reset."""
        self._stream.abort()

    def _count(self, taken_bytes: int) -> None:
        self.file_bytes += taken_bytes


async def serve(
    address: str, port: int, handle: Callable[[Connection], Awaitable[None]]
) -> asyncio.Server:
    """Listen and give each connection to `handle`, which ends with the connection."""

    handling: set[asyncio.Task[None]] = set()

    def accept(stream: ByteStream) -> None:
        task = asyncio.create_task(attend(Connection(stream)))
        handling.add(task)
        task.add_done_callback(handling.discard)

    async def attend(connection: Connection) -> None:
        try:
            await handle(connection)
        except ConnectionError:
            pass  # a client that moves away resets its connections
        except (OSError, ProtocolError) as error:
            _log.info("%s:%d: connection given up: %s", address, port, error)
        finally:
            connection.abort()

    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _configure(listener)
    listener.bind((address, port))
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: ByteStream(accept), sock=listener, backlog=_BACKLOG)


def _configure(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION_CONTROL.encode())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
