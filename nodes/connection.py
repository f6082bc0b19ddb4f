"""A TCP connection that carries the testbed's frames."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import BinaryIO

from testbed.errors import ProtocolError
from testbed.protocol import PREAMBLE, AnyMessage, frame_head, parse_header, parse_preamble

_log = logging.getLogger(__name__)

#: Set on every socket: the machine's default may be bbr, which shares a link unlike cubic.
CONGESTION_CONTROL = "cubic"

_READ_BYTES = 1 << 18
_SEND_BYTES = 1 << 17
_WAKE_BYTES = 1 << 16
_TCP_INFO_BYTES = 216  # up to tcpi_bytes_retrans (linux/tcp.h)
_SEGMENTS_OUT_AT = 136
_BYTES_SENT_AT = 200
#: Ethernet, IPv4 and TCP with timestamps.
_FRAME_HEADER_BYTES = 14 + 20 + 32


class Connection:
    """Frames over one TCP connection; bodies may be streamed in both directions."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._socket: socket.socket = writer.get_extra_info("socket")
        self.file_bytes = 0
        self._wire_bytes = 0
        _configure(self._socket)

    @classmethod
    async def open(cls, address: str, port: int) -> Connection:
        """Connect to a listening node."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        _configure(sock)
        try:
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
            return cls(*await asyncio.open_connection(sock=sock, limit=_READ_BYTES))
        except BaseException:
            sock.close()
            raise

    async def send(self, message: AnyMessage, body: bytes | memoryview = b"") -> None:
        """Send a frame; returns when it is in the socket's buffer or nearly so."""
        self._writer.write(frame_head(message, len(body)))
        if len(body):
            self._writer.write(body)
        await self._writer.drain()

    def post(self, message: AnyMessage) -> None:
        """Send a frame without a body; the buffer takes it, nothing waits."""
        self._writer.write(frame_head(message))

    async def send_file(
        self, message: AnyMessage, file: BinaryIO, offset_bytes: int, count: int
    ) -> None:
        """Send a frame whose body is `count` bytes of a file.

        `file_bytes` counts what the socket took, also of a body that is cut off. (asyncio's
        sendfile would not read from the connection until all is sent.)
        """
        self._writer.write(frame_head(message, count))
        file.seek(offset_bytes)
        while count:
            data = file.read(min(count, _SEND_BYTES))
            if not data:
                raise ProtocolError(f"{file.name} ends {count} bytes early")
            self._writer.write(data)
            await self._writer.drain()
            self.file_bytes += len(data)
            count -= len(data)
        self._update_wire_bytes()

    async def receive_head(self) -> tuple[AnyMessage, int] | None:
        """Return the next message and the length of the body that follows; None at the end.

        Raises:
            ProtocolError: what came is no frame of the protocol, or the peer ended within one.
        """
        try:
            preamble = await self._reader.readexactly(PREAMBLE.size)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise ProtocolError("the peer ended within a frame's preamble") from error
            return None
        header_bytes, body_bytes = parse_preamble(preamble)
        return parse_header(await self._exactly(header_bytes)), body_bytes

    async def receive(self, most_body_bytes: int = 0) -> tuple[AnyMessage, bytes] | None:
        """Return the next message with its whole body; None when the peer has ended.

        Raises:
            ProtocolError: no frame of the protocol, or a body longer than the caller expects.
        """
        head = await self.receive_head()
        if head is None:
            return None
        message, body_bytes = head
        return message, await self.whole_body(body_bytes, most_body_bytes)

    async def whole_body(self, body_bytes: int, most_body_bytes: int) -> bytes:
        """Return the body that follows a head; ProtocolError if it is longer than expected."""
        if body_bytes > most_body_bytes:
            raise ProtocolError(f"a body of {body_bytes} bytes, at most {most_body_bytes} expected")
        return b"".join([piece async for piece in self.body(body_bytes)])

    async def body(self, body_bytes: int) -> AsyncIterator[bytes]:
        """Yield a body piece by piece as it arrives.

        Once nothing of it is buffered here, the kernel is asked to wake this process only for
        larger pieces (SO_RCVLOWAT): at 35 Mbit/s a wake-up for each frame would cost most of the
        processor time of a run.
        """
        low_water = 1
        try:
            while body_bytes:
                wanted = min(body_bytes, _READ_BYTES)
                piece = await self._reader.read(wanted)
                if not piece:
                    raise ProtocolError(f"the peer ended {body_bytes} bytes before a body's end")
                body_bytes -= len(piece)
                drained = len(piece) < wanted
                best = min(body_bytes, _WAKE_BYTES)
                # More than what is left would never come
                if best and (low_water > best or (drained and low_water != best)):
                    low_water = best
                    self._set_low_water(low_water)
                yield piece
        finally:
            if low_water != 1:
                self._set_low_water(1)

    def wire_bytes(self) -> int:
        """Return what this end has put on the wire so far, in bytes of Ethernet frames.

        From the kernel's own counters (TCP_INFO): payload with retransmissions, and a header for
        each segment of at most one MSS, also where the device splits them.
        """
        self._update_wire_bytes()
        return self._wire_bytes

    def _update_wire_bytes(self) -> None:
        if self._writer.transport.is_closing():
            return  # the counters went with the socket; what was read last stands
        info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        (segments,) = struct.unpack_from("=I", info, _SEGMENTS_OUT_AT)
        (payload,) = struct.unpack_from("=Q", info, _BYTES_SENT_AT)
        self._wire_bytes = int(payload + segments * _FRAME_HEADER_BYTES)

    def _set_low_water(self, count: int) -> None:
        if not self._writer.transport.is_closing():
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)

    async def close(self) -> None:
        """Close in order, after what is buffered has been sent."""
        self._writer.close()
        with contextlib.suppress(OSError):  # the peer was quicker
            await self._writer.wait_closed()

    def abort(self) -> None:
        """Close at once: what is buffered is thrown away and the peer gets a reset."""
        self._writer.transport.abort()

    async def _exactly(self, count: int) -> bytes:
        try:
            return await self._reader.readexactly(count)
        except asyncio.IncompleteReadError as error:
            raise ProtocolError(
                f"the peer ended after {len(error.partial)} of {count} bytes"
            ) from error


async def serve(
    address: str, port: int, handle: Callable[[Connection], Awaitable[None]]
) -> asyncio.Server:
    """Listen and give each connection to `handle`, which ends with the connection."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
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
    return await asyncio.start_server(accept, sock=listener, limit=_READ_BYTES, backlog=128)


def _configure(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION_CONTROL.encode())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
