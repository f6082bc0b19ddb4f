"""A TCP stream of bytes with as few copies and wake-ups as Python allows.

A run's processes carry more than 1 Gbit/s together, on a machine that has other things to do. So
what arrives lands in one buffer, where it is looked at in place; the kernel is asked to wake this
process for larger pieces only; and files go out by sendfile.
"""

from __future__ import annotations

import asyncio
import fcntl
import mmap
import os
import socket
import struct
import termios
from collections.abc import Callable
from typing import BinaryIO

from testbed.errors import ProtocolError

_BUFFER_BYTES = 1 << 19


class ByteStream(asyncio.BufferedProtocol):
    """One end of a TCP connection; one task at a time may read, and one may write.

    `on_open` is called with this stream when the connection is there.
    """

    def __init__(self, on_open: Callable[[ByteStream], None] = lambda stream: None) -> None:
        self._on_open = on_open
        self._buffer = memoryview(mmap.mmap(-1, _BUFFER_BYTES))  # pages come with their first use
        self._start = self._lent = self._end = 0  # what was read, what is looked at, what came
        self._low_water = 1
        self._reading_paused = self._writing_paused = self._ended = self._lost = False
        self._failure: Exception | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._transport: asyncio.Transport
        self.socket: socket.socket

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.socket = transport.get_extra_info("socket")
        self._on_open(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the room for the bytes that come next."""
        return self._buffer[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Something has come."""
        self._end += nbytes
        if self._end == len(self._buffer):
            self._transport.pause_reading()
            self._reading_paused = True
        self._wake()

    def eof_received(self) -> bool:
        """The peer sends nothing more; it still receives."""
        self._ended = True
        self._wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended, whichever end closed it."""
        self._ended = self._lost = True
        self._failure = exc
        self._wake()

    def pause_writing(self) -> None:
        """The transport has more than it should."""
        self._writing_paused = True

    def resume_writing(self) -> None:
        """The transport has got rid of what it had."""
        self._writing_paused = False
        self._wake()

    # Reading

    @property
    def buffered_bytes(self) -> int:
        """What has come and was not read yet."""
        return self._end - self._lent

    @property
    def arrived_bytes(self) -> int:
        """What was not read yet, here or in the kernel."""
        if self._transport.is_closing():
            return self.buffered_bytes
        (waiting,) = struct.unpack("i", fcntl.ioctl(self.socket, termios.FIONREAD, bytes(4)))
        return self.buffered_bytes + int(waiting)

    async def read(self, most_bytes: int) -> memoryview:
        """Return what comes next, at least a byte, or nothing at the end; good until the next call.

        Raises OSError if the connection broke.
        """
        self._give_back()
        while not self.buffered_bytes:
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                return self._buffer[:0]
            await self._woken()
        self._lent = min(self._end, self._start + most_bytes)
        return self._buffer[self._start : self._lent]

    async def read_exactly(self, count: int) -> bytes:
        """Return `count` bytes; fewer only where the peer has ended."""
        whole = bytearray()
        while len(whole) < count:
            piece = await self.read(count - len(whole))
            if not piece:
                break
            whole += piece
        return bytes(whole)

    def wake_at(self, count: int) -> None:
        """Have the kernel wake this process only when `count` bytes have come (SO_RCVLOWAT)."""
        if count != self._low_water and not self._transport.is_closing():
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)
            self._low_water = count

    def _give_back(self) -> None:
        """Free the room of the bytes that `read` returned last."""
        self._start = self._lent
        if self._start == self._end:
            self._start = self._lent = self._end = 0
        elif self._reading_paused:
            left = self._end - self._start
            self._buffer[:left] = bytes(self._buffer[self._start : self._end])
            self._start, self._lent, self._end = 0, 0, left
        if self._reading_paused and self._end < len(self._buffer) and not self._ended:
            self._reading_paused = False
            self._transport.resume_reading()

    # Writing

    def write(self, data: bytes | memoryview) -> None:
        """Send bytes; the transport's buffer takes them, nothing waits."""
        self._transport.write(data)

    def write_eof(self) -> None:
        """Close this direction."""
        self._transport.write_eof()

    async def drain(self) -> None:
        """Wait until the transport's buffer is short; OSError if the connection broke."""
        self._check_open()
        while self._writing_paused:
            await self._woken()
            self._check_open()

    async def write_file(
        self, file: BinaryIO, offset_bytes: int, count: int, taken: Callable[[int], None]
    ) -> None:
        """Send a part of a file after what was written; `taken` hears what the socket takes.

        Raises ProtocolError if the file ends early, OSError if the connection broke.
        """
        self._transport.set_write_buffer_limits(0)
        await self.drain()
        self._transport.set_write_buffer_limits()
        # The transport waits for its own descriptor, and asyncio lets nobody else do so
        writable = os.dup(self.socket.fileno())
        try:
            while count:
                try:
                    sent = os.sendfile(writable, file.fileno(), offset_bytes, count)
                except BlockingIOError:
                    await self._writable(writable)
                    continue
                if not sent:
                    raise ProtocolError(f"{file.name} ends {count} bytes early")
                taken(sent)
                offset_bytes += sent
                count -= sent
        finally:
            os.close(writable)

    async def _writable(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        loop.add_writer(descriptor, self._wake)
        try:
            await self._woken()
        finally:
            loop.remove_writer(descriptor)
        self._check_open()

    def _check_open(self) -> None:
        if self._lost or self._transport.is_closing():
            raise self._failure or ConnectionResetError("the connection was closed")

    # Ending

    @property
    def is_closing(self) -> bool:
        """Whether the connection has ended, or is about to."""
        return self._transport.is_closing()

    async def close(self) -> None:
        """Close in order, after what is buffered has been sent."""
        self._transport.close()
        while not self._lost:
            await self._woken()

    def abort(self) -> None:
        """Close at once: what is buffered is thrown away."""
        self._transport.abort()

    async def _woken(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
