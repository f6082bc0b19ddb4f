"""What a link has carried lately, and when plans go by it."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.decision.goodput import FEWEST_BYTES, STEP, Goodput, LinkGoodput, Reading

MEGABYTE = 1_000_000


def at(mbps: float, size_bytes: int = MEGABYTE) -> Reading:
    """Return what a link of this goodput carries."""
    return Reading(size_bytes, 8 * size_bytes / mbps / 1e6)


def near(rate_bps: float) -> Any:
    """Return what is within half a step of a rate."""
    return pytest.approx(rate_bps, rel=STEP**0.5 - 1 + 1e-9)


def test_the_configured_rate_is_supposed_until_something_came() -> None:
    goodput = Goodput(35e6, 30.0)
    assert goodput.bps(5.0) == 35e6


def test_a_rate_near_the_one_in_use_changes_nothing() -> None:
    goodput = Goodput(35e6, 30.0)
    goodput.read(at(33.4), 1.0)
    assert goodput.bps(1.0) == 35e6


def test_half_the_rate_is_used_once_it_was_read_and_the_whole_one_again_afterwards() -> None:
    goodput = Goodput(35e6, 30.0)
    for time_s in range(3):
        goodput.read(at(17.0), time_s)
    assert goodput.bps(3.0) == near(17e6)
    for time_s in range(3, 6):
        goodput.read(at(34.0), time_s)
    assert goodput.bps(6.0) == 35e6


def test_readings_count_by_their_bytes() -> None:
    goodput = Goodput(35e6, 30.0)
    goodput.read(at(10.0, 3 * MEGABYTE), 0.0)
    goodput.read(at(20.0, MEGABYTE), 0.0)
    assert goodput.bps(0.0) == near(4e6 * 8 / (2.4 + 0.4))


def test_small_bodies_and_those_that_lay_there_tell_nothing() -> None:
    goodput = Goodput(35e6, 30.0)
    goodput.read(at(1000.0, FEWEST_BYTES - 1), 0.0)
    goodput.read(Reading(MEGABYTE, 0.0), 0.0)
    assert goodput.bps(0.0) == 35e6


def test_who_offloads_no_more_tries_again_after_an_interval() -> None:
    link = LinkGoodput(35e6, 50e6, 30.0)
    link.up.read(at(1.0), 10.0)
    assert link.rates_bps(40.0) == (near(1e6), 50e6)
    assert link.rates_bps(40.1) == (35e6, 50e6)
