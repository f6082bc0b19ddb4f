"""The master among peers that err or vanish."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

from nodes.transport.connection import Connection
from testbed.protocol.framing import MAGIC, PREAMBLE, frame_head
from testbed.protocol.messages import PORTS, Stored
from tests.nodes.lone_edge import ALICE, hung_up
from tests.nodes.loopback import address, make_setup
from tests.nodes.world import world


def test_garbage_at_the_master_leaves_it_alive(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(make_setup(tmp_path), "profile", edges=()) as nodes:
            header = b"\x81\xa4type\xa5alien"
            for data in (
                b"hello master",
                PREAMBLE.pack(MAGIC, len(header), 0) + header,
                PREAMBLE.pack(MAGIC, 4 << 21, 0),
                struct.pack(">4sIQ", MAGIC, 1, 2**63),
                frame_head(Stored("x")),
            ):
                connection = await Connection.open(address(1), PORTS["control"])
                connection._stream.write(data)
                connection._stream.write_eof()
                assert await hung_up(connection)
            await nodes.start_edge("ap0")
            nodes.start()
            assert not (await nodes.move(ALICE, "ap0")).hit

    asyncio.run(run())


def test_the_master_lives_on_without_an_edge_server_it_orders(tmp_path: Path) -> None:
    async def run() -> None:
        async with world(make_setup(tmp_path), "profile") as nodes:
            nodes.start()
            await nodes.move(ALICE, "ap0")
            await nodes.stop("ap0")
            for _ in range(3):
                nodes.position(ALICE, 25.0)
            there = await nodes.move(ALICE, "ap1")
            assert not there.hit

    asyncio.run(run())
