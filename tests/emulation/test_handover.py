"""What packets do at a handover, and migrations on a shared uplink: the benchmarks, small."""

from __future__ import annotations

import pytest

from tests.emulation.sandboxed import run_in_sandbox

pytestmark = pytest.mark.emulation


@pytest.mark.timeout(120)
def test_no_packet_goes_to_the_old_place_after_the_barrier_or_to_any_other() -> None:
    options = ("--access-points=20", "--clients=4", "--rounds=5")
    found = run_in_sandbox("benchmarks.handover", "--inside", "testbed", *options, timeout_s=100)
    assert found["handovers"] == 20
    assert found["unheard"] == 0
    assert found["packets"] > 4000
    assert found["late_at_old_place"] == 0
    assert found["elsewhere"] == 0
    assert found["interruption_median_ms"] < 200


@pytest.mark.timeout(200)
def test_migrations_fill_an_uplink_and_share_it() -> None:
    options = ("--at-once=4", "--model=resnet", "--queue-bytes=1000000")
    found = run_in_sandbox("benchmarks.goodput", "--inside", *options, timeout_s=180)
    assert found["one_bps"] > 0.8 * found["iperf3_bps"]
    assert found["many_bps"] > 0.8 * found["iperf3_bps"]
    assert found["jain"] > 0.8
