"""Propagation delay: what is asked for, and what a kernel without netem makes of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from testbed.emulation.network import kernel_delay
from testbed.errors import TopologyError
from testbed.settings.experiment import Backhaul, Experiment, Wireless


def links(*delays: str | None) -> list[Any]:
    params = [{} if each is None else {"delay": each} for each in delays]
    ends = [SimpleNamespace(params=each) for each in params]
    return [SimpleNamespace(intf1=end, intf2=end) for end in ends]


def settings(wireless_s: float = 0.0, backhaul_s: float | None = None) -> Experiment:
    return Experiment(
        name="test", wireless=Wireless(delay_s=wireless_s), backhaul=Backhaul(delay_s=backhaul_s)
    )


@pytest.fixture(params=[None, "Specified qdisc kind is unknown."])
def refused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setattr(kernel_delay, "refusal", lambda: request.param)
    answer: str | None = request.param
    return answer


def test_none_is_asked_for_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_delay, "refusal", lambda: pytest.fail("tried"))
    found = kernel_delay.find(settings(), links(None, None))
    assert not found.missing
    assert found.described().startswith("none is set")


def test_links_get_it_where_the_kernel_can_and_it_is_told_where_not(refused: str | None) -> None:
    found = kernel_delay.find(settings(wireless_s=0.002), links("5ms", None))
    assert found.longest_s == 0.005
    assert found.missing == (refused is not None)
    if refused is None:
        assert (found.of_wireless_s, found.of_backhaul_s({"delay": "5ms"})) == (0.002, 0.005)
        assert found.of_backhaul_s({}) == 0.0
        assert "netem, up to 0.005 s" in found.described()
    else:
        assert (found.of_wireless_s, found.of_backhaul_s({"delay": "5ms"})) == (0.0, 0.0)
        assert "NOT EMULATED" in found.described() and refused in found.described()


@pytest.mark.usefixtures("refused")
def test_a_delay_that_is_set_replaces_the_topologys_own() -> None:
    found = kernel_delay.find(settings(backhaul_s=0.001), links("5ms"))
    assert found.longest_s == 0.001
    assert found.of_backhaul_s({"delay": "5ms"}) in (0.001, 0.0)
    assert not kernel_delay.find(settings(backhaul_s=0.0), links("5ms")).missing


def test_what_is_no_time_is_the_topologys_fault() -> None:
    with pytest.raises(TopologyError, match="a link's delay"):
        kernel_delay.topology_delay_s({"delay": "soon"})
