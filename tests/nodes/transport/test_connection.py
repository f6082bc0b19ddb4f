"""Frames over TCP connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import pytest

from nodes.transport.connection import Connection, serve
from testbed.errors import ProtocolError
from testbed.protocol.framing import MAGIC, PREAMBLE, frame_head
from testbed.protocol.messages import LayerPiece, Registered, Stored
from tests.nodes.loopback import address, until

PORT = 7009
PIECE = LayerPiece("ab" * 32, 0)


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[tuple[Connection, Connection]]:
    """Both ends of a connection on the loopback device."""
    accepted: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def handle(connection: Connection) -> None:
        accepted.set_result(connection)
        await over.wait()

    server = await serve(address(1), PORT, handle)
    near = await Connection.open(address(1), PORT)
    far = await accepted
    try:
        yield near, far
    finally:
        over.set()
        near.abort()
        far.abort()
        server.close()
        await asyncio.sleep(0)


@contextlib.contextmanager
def file_of(data: bytes) -> Iterator[BinaryIO]:
    with TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file


def between(test: Callable[[Connection, Connection], Awaitable[None]]) -> None:
    async def run() -> None:
        async with pair() as (near, far):
            await test(near, far)

    asyncio.run(asyncio.wait_for(run(), 20))


def option(connection: Connection, level: int, name: int) -> int:
    return connection._stream.socket.getsockopt(level, name)


def test_both_ends_use_cubic_and_send_small_frames_at_once() -> None:
    async def test(near: Connection, far: Connection) -> None:
        for end in (near, far):
            algorithm = end._stream.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)
            assert algorithm.rstrip(b"\0") == b"cubic"
            assert option(end, socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1

    between(test)


def test_frames_come_in_order_with_their_bodies_until_the_end() -> None:
    async def test(near: Connection, far: Connection) -> None:
        await near.send(Registered())
        await near.send(PIECE, b"x" * 1000)
        await near.close()
        assert await far.receive() == (Registered(), b"")
        assert await far.receive(1000) == (PIECE, b"x" * 1000)
        assert await far.receive() is None

    between(test)


def test_a_body_longer_than_expected_is_refused_unread() -> None:
    async def test(near: Connection, far: Connection) -> None:
        await near.send(PIECE, b"x" * 1001)
        with pytest.raises(ProtocolError, match="at most 1000 expected"):
            await far.receive(1000)

    between(test)


@pytest.mark.parametrize("cut", [1, PREAMBLE.size - 1, PREAMBLE.size, PREAMBLE.size + 5, -1])
def test_a_frame_that_is_cut_off_is_an_error(cut: int) -> None:
    async def test(near: Connection, far: Connection) -> None:
        near._stream.write((frame_head(PIECE, 10) + b"x" * 10)[:cut])
        await near.close()
        with pytest.raises((ProtocolError, ConnectionResetError), match="the peer ended"):
            await far.receive(10)

    between(test)


def test_bytes_of_another_protocol_are_an_error() -> None:
    async def test(near: Connection, far: Connection) -> None:
        near._stream.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ProtocolError, match="not a frame"):
            await far.receive_head()

    between(test)


def test_a_reset_connection_is_a_connection_error_for_the_sender() -> None:
    async def test(near: Connection, far: Connection) -> None:
        far.abort()
        with pytest.raises(ConnectionError):
            for _ in range(100):
                await near.send(PIECE, bytes(100_000))

    between(test)


def test_a_piece_of_a_file_is_sent_from_its_offset() -> None:
    async def test(near: Connection, far: Connection) -> None:
        data = bytes(range(256)) * 1000
        with file_of(data) as file:
            sending = asyncio.create_task(near.send_file(PIECE, file, 100, 200_000))
            assert await far.receive(200_000) == (PIECE, data[100:200_100])
            await sending
        assert near.file_bytes == 200_000

    between(test)


def test_a_file_shorter_than_told_is_an_error(tmp_path: Path) -> None:
    async def test(near: Connection, far: Connection) -> None:
        (tmp_path / "layer").write_bytes(b"x" * 50)
        early = pytest.raises(ProtocolError, match="ends 11 bytes early")
        with (tmp_path / "layer").open("rb") as file, early:
            await near.send_file(PIECE, file, 0, 61)

    between(test)


def test_wire_bytes_are_what_was_sent_and_a_little_for_headers() -> None:
    async def test(near: Connection, far: Connection) -> None:
        before = near.wire_bytes()
        assert 0 <= before < 1000
        body = bytes(3_000_000)
        sending = asyncio.create_task(near.send(PIECE, body))
        await far.receive(len(body))
        await sending
        await until(lambda: near.wire_bytes() > before + len(body), "the last segment")
        assert len(body) < near.wire_bytes() - before < 1.1 * len(body)
        assert far.wire_bytes() < 200_000  # acknowledgements

    between(test)


def test_wire_bytes_stay_known_when_the_peer_has_reset_the_connection() -> None:
    async def test(near: Connection, far: Connection) -> None:
        body = bytes(100_000)
        with file_of(body) as file:
            sending = asyncio.create_task(near.send_file(PIECE, file, 0, len(body)))
            await far.receive(len(body))
            await sending
        known = near.wire_bytes()
        far.abort()
        with contextlib.suppress(OSError, ProtocolError):
            await near.receive()
        await asyncio.sleep(0.01)  # the transport closes its socket in the next turn of the loop
        assert known <= near.wire_bytes() < known + 1000
        assert known > len(body)

    between(test)


def test_no_end_of_a_body_waits_for_more_bytes_than_are_left() -> None:
    """The kernel is asked to wake for large pieces; a short rest must still wake the reader."""

    async def test(near: Connection, far: Connection) -> None:
        total, rest = 600_000, 2000
        pieces: list[int] = []

        async def read() -> None:
            async for piece in far.body(total):
                pieces.append(len(piece))

        reading = asyncio.create_task(read())
        near._stream.write(bytes(total - rest))
        await until(lambda: sum(pieces) > 0, "the first piece")
        assert not reading.done()
        near._stream.write(bytes(rest))
        await reading
        assert sum(pieces) == total
        assert option(far, socket.SOL_SOCKET, socket.SO_RCVLOWAT) == 1

    between(test)


def test_bodies_of_every_length_arrive_whole_however_they_are_cut() -> None:
    async def test(near: Connection, far: Connection) -> None:
        async def send() -> None:
            for size in (1, 65_535, 65_537, 262_144, 262_145, 1_048_576, 1_300_001):
                near._stream.write(frame_head(PIECE, size) + bytes(size - 1))
                await near._stream.drain()
                await asyncio.sleep(0.01)  # the last byte comes alone
                near._stream.write(b"!")
            await near.send(Stored("end"))

        sending = asyncio.create_task(send())
        sizes = []
        while (received := await far.receive(2_000_000)) is not None:
            if received[0] == Stored("end"):
                break
            sizes.append(len(received[1]))
            assert received[1][-1:] == b"!"
        await sending
        assert sizes == [1, 65_535, 65_537, 262_144, 262_145, 1_048_576, 1_300_001]

    between(test)


def test_a_handler_that_fails_ends_only_its_own_connection() -> None:
    async def run() -> None:
        async def handle(connection: Connection) -> None:
            received = await connection.receive()
            if received is None or isinstance(received[0], Stored):
                raise TimeoutError("the link is gone")
            await connection.send(Registered())

        server = await serve(address(1), PORT, handle)
        failing = await Connection.open(address(1), PORT)
        await failing.send(Stored("x"))
        with contextlib.suppress(ConnectionError):
            assert await failing.receive() is None
        good = await Connection.open(address(1), PORT)
        await good.send(Registered())
        assert await good.receive() == (Registered(), b"")
        good.abort()
        failing.abort()
        server.close()

    asyncio.run(asyncio.wait_for(run(), 10))


def test_nobody_listening_is_an_error_and_leaves_no_socket() -> None:
    async def run() -> None:
        with pytest.raises(ConnectionRefusedError):
            await Connection.open(address(9), PORT)

    asyncio.run(run())


def test_the_preamble_is_checked_before_the_header_is_awaited() -> None:
    async def test(near: Connection, far: Connection) -> None:
        near._stream.write(PREAMBLE.pack(MAGIC, 2**31, 0))
        with pytest.raises(ProtocolError, match="exceeds the bounds"):
            await far.receive_head()

    between(test)
