"""Repeating executions: one at a time, a few waiting, none after the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nodes.computing.repetition import _MAX_WAITING, Repetitions
from tests.nodes.loopback import until


class Gate:
    """Comparisons that say they have begun, and end when they are let."""

    def __init__(self, folder: Path) -> None:
        self._begun = folder / "begun"
        self._begun.touch()
        self._go, self._let = os.pipe()

    def compare(self) -> bool:
        with self._begun.open("a") as file:
            file.write(".")
        return os.read(self._go, 1) == b"="

    @property
    def begun(self) -> int:
        return self._begun.stat().st_size

    def let(self, count: int = 1, *, equal: bool = True) -> None:
        os.write(self._let, (b"=" if equal else b"#") * count)


def node(folder: Path) -> Repetitions:
    return Repetitions(folder / "turn", ThreadPoolExecutor(1))


def in_world(folder: Path, test: Callable[[Gate], object]) -> None:
    asyncio.run(asyncio.wait_for(test(Gate(folder)), 30))  # type: ignore[arg-type]


def test_what_is_compared_is_told(tmp_path: Path) -> None:
    async def test(gate: Gate) -> None:
        repetitions = node(tmp_path)
        for equal in (True, False):
            gate.let(equal=equal)
            assert await repetitions.make(gate.compare) is equal

    in_world(tmp_path, test)


def test_one_at_a_time_of_all_nodes(tmp_path: Path) -> None:
    async def test(gate: Gate) -> None:
        making = [asyncio.create_task(node(tmp_path).make(gate.compare)) for _ in range(3)]
        for done in range(1, 4):
            await until(lambda done=done: gate.begun == done, "a repetition")  # type: ignore[misc]
            await asyncio.sleep(0.05)
            assert gate.begun == done
            gate.let()
        assert await asyncio.gather(*making) == [True] * 3

    in_world(tmp_path, test)


def test_few_wait(tmp_path: Path) -> None:
    async def test(gate: Gate) -> None:
        repetitions = node(tmp_path)
        making = [
            asyncio.create_task(repetitions.make(gate.compare)) for _ in range(_MAX_WAITING + 3)
        ]
        await until(lambda: sum(task.done() for task in making) == 3, "those that are too many")
        gate.let(_MAX_WAITING)
        assert await asyncio.gather(*making) == [True] * _MAX_WAITING + [None] * 3

    in_world(tmp_path, test)


def test_at_the_end_what_has_begun_is_awaited_and_the_rest_is_not(tmp_path: Path) -> None:
    async def test(gate: Gate) -> None:
        here, elsewhere = node(tmp_path), node(tmp_path)
        begun = asyncio.create_task(here.make(gate.compare))
        await until(lambda: gate.begun == 1, "the first")
        waiting = [asyncio.create_task(of.make(gate.compare)) for of in (elsewhere, elsewhere)]
        await asyncio.sleep(0)
        here.give_up()
        elsewhere.give_up()
        assert await asyncio.gather(*waiting) == [None, None]
        assert not begun.done()
        gate.let()
        assert await begun
        assert gate.begun == 1

    in_world(tmp_path, test)
