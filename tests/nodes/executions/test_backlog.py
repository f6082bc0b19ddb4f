"""For which share of the queries the execution pool has time."""

from __future__ import annotations

import mmap
import struct

import pytest

from nodes.executions.backlog import Backlog, write_share


def backlog(**changes: float) -> Backlog:
    settings = {"processors": 2, "most_s": 10.0, "most_bytes": 1000.0, "most_share": 1.0}
    return Backlog(**settings | changes)  # type: ignore[arg-type]


def learnt(**changes: float) -> Backlog:
    """One whose processors are known to do a million multiply-adds a second."""
    made = backlog(**changes)
    for _ in range(200):
        made.took(1e6, 1.0)
    return made


def test_all_are_taken_until_half_of_what_may_wait_does_then_fewer() -> None:
    waiting = learnt()
    shares = []
    for _ in range(25):
        shares.append(waiting.share)
        waiting.add(1e6, 0)  # a second of one of two processors
    assert shares[:11] == pytest.approx([1.0] * 11)
    assert shares[11:21] == pytest.approx([2 - n / 10 for n in range(11, 21)], abs=1e-3)
    assert shares[21:] == [0.0] * 4
    waiting.remove(15e6, 0)
    assert waiting.share == pytest.approx(1.0)


def test_memory_bounds_it_as_time_does() -> None:
    waiting = learnt()
    waiting.add(0.0, 750)
    assert waiting.share == pytest.approx(0.5)
    waiting.remove(0.0, 750)
    assert waiting.share == 1.0


def test_the_setting_is_the_most_and_none_are_taken_at_the_end() -> None:
    waiting = learnt(most_share=0.25)
    assert waiting.share == 0.25
    with mmap.mmap(-1, 8) as told:
        write_share(told, waiting.share)
        assert struct.unpack("=d", told[:]) == (0.25,)
        waiting.close()
        write_share(told, waiting.share)
        assert struct.unpack("=d", told[:]) == (0.0,)


def test_a_little_may_wait_even_where_nothing_is_finished_after_the_run() -> None:
    waiting = learnt(most_s=0.0)
    waiting.add(1e6, 0)
    assert waiting.share == 1.0
    waiting.add(4e6, 0)
    assert waiting.share == 0.0
