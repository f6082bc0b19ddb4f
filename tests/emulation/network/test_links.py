"""The rates of the emulated links, measured with iperf3 on the links themselves."""

from __future__ import annotations

import pytest

from testbed.settings.experiment import Wireless
from testbed.settings.units import TCP_GOODPUT_SHARE
from tests.emulation.sandboxed import run_in_sandbox

pytestmark = pytest.mark.emulation

HANDOVERS = 10
TOLERANCE = 0.03


@pytest.mark.timeout(400)
def test_wireless_rates_hold_after_bring_up_and_after_each_of_ten_handovers() -> None:
    readings = run_in_sandbox("tests.emulation.measure_links", str(HANDOVERS), timeout_s=350)
    wireless = Wireless()
    expected = {
        "up": wireless.up_bps * TCP_GOODPUT_SHARE,
        "down": wireless.down_bps * TCP_GOODPUT_SHARE,
    }
    for direction, goodput_bps in expected.items():
        assert len(readings[direction]) == HANDOVERS + 1
        assert readings[direction] == [
            pytest.approx(goodput_bps, rel=TOLERANCE) for _ in range(HANDOVERS + 1)
        ]
    # Through the backhaul the client's own link is still what limits it
    assert readings["across"] == pytest.approx(expected["up"], rel=TOLERANCE)
    # Between servers there is a gigabit, less headers; a busy machine may carry less, never more
    assert 0.2e9 < readings["backhaul"] < 1e9


@pytest.mark.timeout(120)
@pytest.mark.parametrize("airtime", ["separate", "shared"])
def test_clients_at_one_access_point_have_its_rates_each_or_together(airtime: str) -> None:
    readings = run_in_sandbox("tests.emulation.measure_airtime", airtime, timeout_s=100)
    wireless = Wireless()
    for direction, rate_bps in (("up", wireless.up_bps), ("down", wireless.down_bps)):
        goodput_bps = rate_bps * TCP_GOODPUT_SHARE
        found = readings[direction]
        assert found["alone"] == pytest.approx(goodput_bps, rel=0.1)
        all_bps = goodput_bps if airtime == "shared" else 2 * goodput_bps
        assert sum(found["together"]) == pytest.approx(all_bps, rel=0.1)
        assert min(found["together"]) > 0.1 * all_bps
