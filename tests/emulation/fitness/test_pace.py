"""The dilation that a run takes by itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

from testbed.emulation.fitness.pace import free_processors, sufficient_pace
from testbed.settings.experiment import Compute, Experiment, Replay


def settings(clients: int = 8, mode: str = "memo", device: str = "cpu") -> Experiment:
    compute = Compute(mode=mode, tdf="auto", device=device)  # type: ignore[arg-type]
    return Experiment(name="test", replay=Replay(clients=clients), compute=compute)


def test_a_machine_with_room_keeps_real_time_and_others_take_the_least_that_will_do() -> None:
    assert sufficient_pace(settings(), 100, 2.0)[0] == 1.0
    paces = [sufficient_pace(settings(31), 351, free)[0] for free in (16.0, 4.0, 2.0, 1.5, 1.0)]
    assert paces == sorted(paces) and paces[0] == 1.0
    assert paces[2] == pytest.approx(1.5) and paces[4] == pytest.approx(3.0)


def test_the_reason_has_both_numbers() -> None:
    _, reason = sufficient_pace(settings(31), 351, 1.5)
    assert "needs 1.4 processors" in reason and "1.5 are free" in reason


def test_where_all_is_computed_a_pass_ends_within_the_devices_time() -> None:
    tdf, reason = sufficient_pace(settings(mode="real"), 100, 2.0)
    assert 8.0 < tdf < 30.0
    assert "a pass takes some" in reason and "11 ms there" in reason
    assert sufficient_pace(settings(mode="real"), 100, 32.0)[0] > 8.0  # however many there are


def test_where_a_gpu_executes_for_servers_the_processors_have_the_clients_time() -> None:
    on_gpu, _ = sufficient_pace(settings(mode="real", device="cuda"), 100, 32.0)
    assert on_gpu < sufficient_pace(settings(mode="real"), 100, 32.0)[0]


def test_an_undilated_one_stands_for_auto_until_it_is_known() -> None:
    assert settings().compute.dilation == 1.0
    assert settings().at_pace(2.5).compute.dilation == 2.5


def test_the_probe_sees_what_others_take() -> None:
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
    try:
        among = free_processors(0.5)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert among > 0.0
    assert among <= free_processors(0.5) + 0.5
