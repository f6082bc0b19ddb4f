"""What `--compute auto` chooses."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from nodes.requests import ModelMeasure
from testbed.emulation.fitness.compute_mode import choose
from testbed.settings.experiment import Compute, Experiment, Model, Replay


def measured(pass_s: float, client_s: float, server_s: float) -> ModelMeasure:
    return ModelMeasure(pass_s, client_s, server_s, weight_bytes=135_000_000, memo_bytes=47_000_000)


INCEPTION = measured(pass_s=0.070, client_s=2.5, server_s=0.011)


def settings(tdf: float = 1.0, clients: int = 1, mode: str = "auto") -> Experiment:
    return Experiment(
        name="test",
        replay=Replay(clients=clients),
        model=Model(query_gap_s=0.5),
        compute=Compute(mode=mode, tdf=tdf),  # type: ignore[arg-type]
    )


@pytest.fixture
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(2)))


def test_a_named_mode_is_taken() -> None:
    for mode in ("real", "memo", "profile"):
        choice = choose(settings(mode=mode), INCEPTION)
        assert (choice.mode, choice.reason) == (mode, "as set")


def test_a_machine_slower_than_the_devices_replays_true_outputs() -> None:
    choice = choose(settings(), INCEPTION)
    assert choice.mode == "memo"
    assert "70 ms" in choice.reason and "11 ms" in choice.reason


@pytest.mark.usefixtures("two_processors")
def test_dilated_time_leaves_room_to_compute_everything() -> None:
    assert choose(settings(tdf=8.0), INCEPTION).mode == "real"
    assert choose(settings(tdf=6.0), INCEPTION).mode == "memo"


@pytest.mark.usefixtures("two_processors")
def test_many_clients_take_the_processors_that_the_network_needs() -> None:
    quick = measured(pass_s=0.050, client_s=0.5, server_s=0.100)
    # A query every 0.6 s costs each client 0.05 s of two processors: 4.2 % of the machine each.
    assert choose(settings(clients=11), quick).mode == "real"
    assert choose(settings(clients=13), quick).mode == "memo"


def test_the_slower_of_client_and_server_does_not_hide_the_faster() -> None:
    fast_client = measured(pass_s=0.050, client_s=0.001, server_s=10.0)
    assert choose(settings(), fast_client).mode == "memo"


@pytest.mark.usefixtures("two_processors")
def test_a_gpu_has_the_servers_time_and_the_processors_the_clients() -> None:
    quick, slow = replace(INCEPTION, gpu_pass_s=0.008), replace(INCEPTION, gpu_pass_s=0.020)
    choice = choose(settings(), quick)
    assert choice.mode == "real"
    assert "on the GPU 8.0 ms of 11 ms, and 2% of it" in choice.reason
    assert choose(settings(), slow).mode == "memo"
    assert choose(settings(clients=40), quick).mode == "memo"
