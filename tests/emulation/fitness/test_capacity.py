"""What a run needs, and what people are told where that is too much."""

from __future__ import annotations

import pytest

from nodes.requests import ModelMeasure
from testbed.emulation.fitness.capacity import Resources, advice, need
from testbed.settings.experiment import Compute, Experiment, Replay

INCEPTION = ModelMeasure(
    pass_s=0.08, client_s=2.5, server_s=0.011, weight_bytes=135_000_000, memo_bytes=25_000_000
)
SMALL = Resources(processors=2, memory_bytes=23e9)


def settings(clients: int = 31, tdf: float = 1.0) -> Experiment:
    return Experiment(name="test", replay=Replay(clients=clients), compute=Compute(tdf=tdf))


def test_all_of_kaist_fits_two_processors_where_nothing_is_computed() -> None:
    line, enough, fits = advice(settings(), 351, "memo", INCEPTION, SMALL)
    assert enough and fits
    assert line.startswith("estimate: up to 1.")
    assert "use" not in line
    assert 10e9 < need(settings(), 351, "memo", INCEPTION).memory_bytes < 12e9


def test_real_computing_does_not_and_every_way_out_is_one() -> None:
    line, enough, fits = advice(settings(), 351, "real", INCEPTION, SMALL)
    assert not enough and fits
    told = line.partition("; use ")[2].split(", or ")
    assert [way.split()[0] for way in told] == ["--tdf", "--compute", "--clients"]
    tdf, clients = int(told[0].split()[1]), int(told[2].split()[1])
    assert advice(settings(tdf=tdf), 351, "real", INCEPTION, SMALL)[1]
    assert not advice(settings(tdf=tdf - 1), 351, "real", INCEPTION, SMALL)[1]
    assert advice(settings(clients=clients), 351, "real", INCEPTION, SMALL)[1]
    assert not advice(settings(clients=clients + 1), 351, "real", INCEPTION, SMALL)[1]


def test_memory_that_would_run_out_is_told() -> None:
    tiny = Resources(processors=2, memory_bytes=8e9)
    line, enough, fits = advice(settings(), 351, "memo", INCEPTION, tiny)
    assert enough and not fits
    assert "memory may not suffice; use --clients" in line
    assert "--tdf" not in line
    less = Resources(processors=2, memory_bytes=10e9)
    line, _, fits = advice(settings(), 351, "memo", INCEPTION, less)
    assert not fits and "; use --set model.distinct_inputs=1, or --clients" in line


def test_where_nothing_helps_nothing_is_advised() -> None:
    none = Resources(processors=2, memory_bytes=1e9)
    line, _, fits = advice(settings(clients=1), 351, "memo", INCEPTION, none)
    assert not fits and "use" not in line


@pytest.mark.parametrize("tdf", [2.0, 4.0])
def test_time_dilation_divides_rates_and_processors_and_not_memory(tdf: float) -> None:
    fast, slow = (need(settings(tdf=each), 351, "real", INCEPTION) for each in (1.0, tdf))
    assert slow.processors == pytest.approx(fast.processors / tdf)
    assert slow.wireless_bps == pytest.approx(fast.wireless_bps / tdf)
    assert slow.memory_bytes == fast.memory_bytes
