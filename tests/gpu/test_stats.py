"""Statistics of the host, sources by name, and the sampling beside the queries."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import namedtuple
from collections.abc import Callable

import msgspec
import psutil
import pytest

from testbed.errors import ConfigurationError, MachineError
from testbed.gpu.host import HostSource, ProcessorTime, utilisation
from testbed.gpu.sampler import Sampler
from testbed.gpu.sources import find_source
from testbed.gpu.stats import ServerStats

DEADLINE_S = 30  # for what takes milliseconds

Times = namedtuple("Times", "user nice system irq softirq steal idle iowait guest guest_nice")
Reading = namedtuple("Reading", "label current high critical")


def cpu(*, busy_s: float = 0.0, idle_s: float = 0.0) -> Times:
    """A processor's row in the kernel's table; guests' time is part of the users' time."""
    user_s, other_s = busy_s / 2, busy_s / 8
    return Times(user_s, *[other_s] * 3, 0.0, other_s, idle_s / 4, idle_s * 3 / 4, user_s, 0.0)


# The host


def test_busy_share_is_of_the_time_in_between() -> None:
    assert utilisation(ProcessorTime(100, 1000), ProcessorTime(103, 1004)) == 0.75


def test_idle_time_taken_back_by_the_kernel_stays_in_bounds() -> None:
    assert utilisation(ProcessorTime(100, 1000), ProcessorTime(103, 1002)) == 1.0
    assert utilisation(ProcessorTime(100, 1000), ProcessorTime(99, 1002)) == 0.0


def test_host_reads_the_processors_that_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = [cpu(busy_s=50, idle_s=100), cpu(busy_s=5, idle_s=5), cpu(busy_s=9, idle_s=9)]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 2})
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: table)
    source = HostSource()
    assert math.isnan(source.read(1).kernel_utilisation), "no time has passed"
    table[:] = [cpu(busy_s=99, idle_s=100), cpu(busy_s=5, idle_s=9), cpu(busy_s=12, idle_s=10)]
    assert source.read(1).kernel_utilisation == pytest.approx(3 / 8)
    assert source.read(1).kernel_utilisation == pytest.approx(3 / 8), "no further time has passed"
    table[:] = [cpu(busy_s=99, idle_s=109), cpu(busy_s=6, idle_s=9), cpu(busy_s=13, idle_s=10)]
    assert source.read(1).kernel_utilisation == 1.0


def test_host_in_a_container_that_numbers_its_processors_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = [cpu(busy_s=5, idle_s=5)]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {6})
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: table)
    source = HostSource()
    table[:] = [cpu(busy_s=6, idle_s=8)]
    assert source.read(1).kernel_utilisation == 0.25


@pytest.mark.parametrize(
    ("sensors", "expected_c"),
    [
        ({}, math.nan),
        ({"nvme": [Reading("", 71.0, None, None)]}, math.nan),
        ({"nvme": [Reading("", 71.0, None, None)], "k10temp": [Reading("", 40.5, 1, 1)]}, 40.5),
        ({"coretemp": [Reading("0", 50.0, 1, 1), Reading("1", 58.0, 1, 1)]}, 58.0),
    ],
)
def test_host_temperature_is_the_hottest_processor_sensors(
    monkeypatch: pytest.MonkeyPatch, sensors: dict[str, list[Reading]], expected_c: float
) -> None:
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: sensors)
    assert HostSource().read(1).temperature_c == pytest.approx(expected_c, nan_ok=True)


def test_host_of_this_machine() -> None:
    source, deadline_s = HostSource(), time.monotonic() + DEADLINE_S
    while not (stats := source.read(4)).kernel_utilisation > 0:  # this loop keeps one busy
        assert time.monotonic() < deadline_s
    assert (stats.source, stats.clients) == ("host", 4)
    assert stats.kernel_utilisation <= 1
    assert math.isnan(stats.memory_utilisation)
    assert 1e6 < stats.memory_used_bytes < psutil.virtual_memory().total


# By name


def test_unknown_source_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigurationError, match=r"source of statistics 'nvlm'.*'nvml'"):
        find_source("nvlm")


# Sampling


class FakeSource:
    """Answers what `answers` returns, and tells when it was read for the n-th time."""

    def __init__(self, answer: Callable[[int], float]) -> None:
        self.readings = 0
        self._answer = answer
        self._read = threading.Condition()

    def read(self, clients: int) -> ServerStats:
        try:
            return ServerStats("host", clients, self._answer(self.readings + 1), 0.0, 0, math.nan)
        finally:
            with self._read:
                self.readings += 1
                self._read.notify_all()

    def close(self) -> None:
        pass

    def wait_for_readings(self, count: int) -> None:
        with self._read:
            assert self._read.wait_for(lambda: self.readings >= count, DEADLINE_S)


def fail(message: str) -> float:
    raise OSError(message)


def test_latest_follows_the_source_and_the_clients() -> None:
    source = FakeSource(float)
    clients = [7]
    with Sampler(source, 0.001, lambda: clients[0]) as sampler:
        clients[0] = 8
        seen = source.readings
        source.wait_for_readings(seen + 3)
        assert sampler.latest().kernel_utilisation >= seen + 2  # the last may not be there yet
        assert sampler.latest().clients == 8


def test_first_reading_is_there_at_once_and_closing_does_not_wait_for_the_next() -> None:
    source = FakeSource(float)
    threads = set(threading.enumerate())
    with Sampler(source, 3600.0, lambda: 2) as sampler:
        assert msgspec.structs.astuple(sampler.latest())[:3] == ("host", 2, 1.0)
    assert set(threading.enumerate()) == threads
    assert source.readings == 1


def test_error_of_the_first_reading_is_the_callers() -> None:
    threads = set(threading.enumerate())
    with pytest.raises(OSError, match="gone"), Sampler(FakeSource(lambda _: fail("gone")), 1, int):
        pytest.fail("opened without a reading")
    assert set(threading.enumerate()) == threads


def test_failed_reading_is_raised_while_it_lasts_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    well = threading.Event()
    source = FakeSource(lambda n: 0.5 if n == 1 or well.is_set() else fail("gone"))
    with caplog.at_level(logging.ERROR), Sampler(source, 0.001, int) as sampler:
        source.wait_for_readings(5)
        for _ in range(2):  # not only the first who asks is told
            with pytest.raises(MachineError, match="no statistics: gone"):
                sampler.latest()
        assert len(caplog.records) == 1
        well.set()
        source.wait_for_readings(source.readings + 3)
        assert sampler.latest().kernel_utilisation == 0.5


def test_error_in_counting_clients_is_not_lost() -> None:
    counts = iter([1])
    source = FakeSource(float)
    asked = threading.Event()

    def clients() -> int:
        try:
            return next(counts)
        except StopIteration:
            asked.set()
            return int(fail("no count"))

    with Sampler(source, 0.001, clients) as sampler:
        assert asked.wait(DEADLINE_S)
        asked.clear()
        assert asked.wait(DEADLINE_S)  # the thread lives, and has kept the error before
        with pytest.raises(MachineError, match="no count"):
            sampler.latest()


@pytest.mark.parametrize("period_s", [0.0, -1.0, math.nan])
def test_period_without_length_is_refused(period_s: float) -> None:
    with pytest.raises(ValueError, match="cannot sample every"):
        Sampler(FakeSource(float), period_s, int)


def test_sampler_that_was_not_opened_has_nothing() -> None:
    with pytest.raises(RuntimeError, match="not started"):
        Sampler(FakeSource(float), 1.0, int).latest()
