"""What the modelled accelerator tells of its past second."""

from __future__ import annotations

import math

import msgspec
import pytest

from testbed.gpu.accelerator import Accelerator, AcceleratorParameters, Work
from tests.gpu.accelerators import PLAIN


def test_idle_accelerator_has_idle_statistics_also_before_the_run() -> None:
    accelerator = Accelerator()
    for now_s in (-math.inf, 0.0, 1e6):
        stats = accelerator.read(now_s)
        assert msgspec.structs.astuple(stats) == ("modelled", 0, 0.0, 0.0, 500_000_000, 35.0)


def test_utilisation_is_of_the_past_period() -> None:
    accelerator = Accelerator()
    accelerator.submit(10.0, "c1", Work(0.3, 0.1))
    for now_s, kernel, memory in (
        (10.2, 0.2, 0.05),  # within the first: a quarter of its time is memory's
        (10.4, 0.4, 0.1),
        (10.7, 0.4, 0.1),
        (11.0, 0.6, 0.2),
        (11.2, 0.4, 0.15),  # half of the first has left the period
        (11.9, 0.1, 0.05),
        (12.5, 0.0, 0.0),
    ):
        if now_s == 11.0:
            accelerator.submit(10.8, "c1", Work(0.1, 0.1))
        stats = accelerator.read(now_s)
        assert stats.kernel_utilisation == pytest.approx(kernel, abs=1e-12)
        assert stats.memory_utilisation == pytest.approx(memory, abs=1e-12)


def test_clients_with_work_in_the_period_are_counted_once() -> None:
    accelerator = Accelerator(PLAIN)
    accelerator.submit(0.0, "c1", Work.of(0.25))  # until 0.5
    accelerator.submit(0.0, "c2", Work.of(3.0))
    accelerator.submit(0.5, "c1", Work.of(0.25))  # until 1.08
    cancelled = accelerator.submit(0.75, "c3", Work.of(1.0))
    accelerator.cancel(1.0, cancelled)
    clients = [accelerator.read(now_s).clients for now_s in (1.0, 1.99, 2.0, 2.08, 2.09, 20.0)]
    assert clients == [3, 3, 2, 2, 1, 0]


def test_memory_utilisation_tells_memory_bound_load_from_compute_bound() -> None:
    def utilisation(work: Work) -> tuple[float, float]:
        accelerator = Accelerator()
        for c in range(4):
            accelerator.submit(0.0, f"c{c}", work)
        stats = accelerator.read(2.0)
        return stats.kernel_utilisation, stats.memory_utilisation

    assert utilisation(Work(9.0, 0.0)) == (1.0, 0.0)
    kernel, some = utilisation(Work(6.0, 3.0))
    assert kernel == 1.0
    assert 0.3 < some < utilisation(Work(0.0, 9.0))[1] <= 1.0


def test_memory_used_is_the_base_and_what_clients_hold() -> None:
    accelerator = Accelerator(AcceleratorParameters(base_memory_bytes=1000))
    accelerator.hold("c1", 200)
    accelerator.hold("c2", 30)
    accelerator.hold("c1", 250)
    assert accelerator.read(0.0).memory_used_bytes == 1280
    accelerator.hold("c1", 0)
    assert accelerator.read(0.0).memory_used_bytes == 1030
    with pytest.raises(ValueError, match="cannot hold -1"):
        accelerator.hold("c1", -1)
