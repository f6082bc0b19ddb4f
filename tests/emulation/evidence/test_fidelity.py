"""Whether a run's numbers may be believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from testbed.emulation.evidence.fidelity import (
    DEGRADED_RATE,
    DEGRADED_S,
    INVALID_RATE,
    INVALID_S,
    Evidence,
    assess,
    distribution,
    rate_shares,
    sufficient_tdf,
)
from testbed.emulation.evidence.monitor import Readings, Sent

GOOD: dict[str, Any] = {
    "step_late_s": [0.001] * 20,
    "moved_late_s": [0.3] * 30,
    "compute_late_s": [0.0] * 500,
    "rate_shares": [0.99] * 40,
    "readings": Readings(run_queue_delay_s=[0.0001] * 900, cpu_busy_share=[0.5, 0.7]),
    "packets_captured": 1000,
    "compared": 10,
}


def judged(**changes: Any) -> dict[str, Any]:
    return assess(Evidence(**GOOD | changes))


def test_a_run_that_kept_its_times_is_good() -> None:
    found = judged()
    assert found["verdict"] == "good"
    assert found["reasons"] == []
    assert found["packets_captured"] == 1000
    assert found["executions_compared"] == 10
    assert found["run_queue_delay_s"]["count"] == 900
    assert found["rate_share"]["p50"] == 0.99


def late(what: str, late_s: float) -> dict[str, Any]:
    if what == "run_queue_delay_s":
        return {"readings": Readings(run_queue_delay_s=[late_s] * 50)}
    return {what: [late_s] * 50}


@pytest.mark.parametrize("what", ["step_late_s", "compute_late_s", "run_queue_delay_s"])
@pytest.mark.parametrize(
    ("late_s", "verdict"),
    [
        (DEGRADED_S, "good"),
        (DEGRADED_S * 1.01, "degraded"),
        (INVALID_S, "degraded"),
        (INVALID_S * 1.01, "invalid"),
    ],
)
def test_lateness_decides_the_verdict(what: str, late_s: float, verdict: str) -> None:
    found = judged(**late(what, late_s))
    assert found["verdict"] == verdict
    assert len(found["reasons"]) == (verdict != "good")
    if verdict != "good":
        assert f"{late_s * 1e3:.1f} ms late" in found["reasons"][0]


@pytest.mark.parametrize(
    ("late_s", "verdict"), [(1.0, "good"), (1.4, "degraded"), (5.0, "degraded"), (5.1, "invalid")]
)
def test_late_handovers_decide_the_verdict(late_s: float, verdict: str) -> None:
    found = judged(moved_late_s=[0.02] * 9 + [late_s] * 3)
    assert found["verdict"] == verdict
    assert [reason.partition(":")[0] for reason in found["reasons"]] == (
        [] if verdict == "good" else ["handovers"]
    )
    assert found["moved_late_s"]["max"] == late_s


@pytest.mark.parametrize(
    ("share", "verdict"),
    [
        (DEGRADED_RATE, "good"),
        (DEGRADED_RATE - 0.01, "degraded"),
        (INVALID_RATE, "degraded"),
        (INVALID_RATE - 0.01, "invalid"),
    ],
)
def test_slow_links_decide_the_verdict(share: float, verdict: str) -> None:
    found = judged(rate_shares=[share] * 30)
    assert found["verdict"] == verdict
    if verdict != "good":
        assert f"median {share:.1%}" in found["reasons"][0]


def test_waiting_of_the_machine_counts_in_emulated_time() -> None:
    slow = Readings(run_queue_delay_s=[4 * DEGRADED_S] * 50)
    assert judged(readings=slow, tdf=1)["verdict"] == "degraded"
    assert judged(readings=slow, tdf=4)["verdict"] == "good"


def test_one_late_computation_in_two_hundred_is_no_loss_of_fidelity() -> None:
    assert judged(compute_late_s=[0.0] * 199 + [1.0])["verdict"] == "good"
    assert judged(compute_late_s=[0.0] * 19 + [1.0])["verdict"] == "invalid"


@pytest.mark.parametrize(
    "late", [("step_late_s", "compute_late_s"), ("compute_late_s", "step_late_s")]
)
def test_the_worse_of_two_verdicts_stands(late: tuple[str, str]) -> None:
    worse, better = late
    found = judged(**{worse: [1.0] * 9, better: [0.02] * 9})
    assert found["verdict"] == "invalid"
    assert len(found["reasons"]) == 2


@pytest.mark.parametrize("trouble", ["packets_dropped", "unequal", "displaced", "fallbacks"])
def test_each_trouble_degrades_and_is_counted(trouble: str) -> None:
    found = judged(**{trouble: 3})
    assert found["verdict"] == "degraded"
    (reason,) = found["reasons"]
    assert "3" in reason
    assert 3 in found.values()


def test_the_load_of_a_gpu_is_summed_up() -> None:
    found = judged(gpu={"kernel_utilisation": [0.2, 0.6], "memory_utilisation": []})
    assert found["gpu_kernel_utilisation"] == {"mean": pytest.approx(0.4), "max": 0.6}
    assert found["gpu_memory_utilisation"] == {}
    assert not any(key.startswith("gpu") for key in judged())


def test_packets_that_the_machine_drops_degrade() -> None:
    found = judged(readings=Readings(backlog_drops=7))
    assert found["verdict"] == "degraded"
    assert "dropped 7 packets between links" in found["reasons"][0]


def test_a_delay_that_is_not_emulated_degrades() -> None:
    assert judged(delay_missing=True)["verdict"] == "degraded"


def test_trouble_does_not_improve_an_invalid_run() -> None:
    found = judged(step_late_s=[1.0], packets_dropped=1)
    assert found["verdict"] == "invalid"
    assert len(found["reasons"]) == 2


def test_a_run_without_samples_can_be_written_down() -> None:
    found = assess(Evidence())
    assert found["step_late_s"] == {"count": 0}
    json.dumps(found, allow_nan=False)


def test_a_distribution_names_its_percentiles() -> None:
    found = distribution([float(value) for value in range(101)])
    percentiles = {"min": 0.0, "p5": 5.0, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
    assert found == {"count": 101, **percentiles}


def sent(client: str, rate_bps: float, until_s: int) -> list[Sent]:
    """Readings of a client's interface that sends frames of 1,514 bytes at a rate."""
    frames = [round(rate_bps * second / 8 / 1514) for second in range(until_s)]
    return [Sent(float(t), client, 1514 * count, count) for t, count in enumerate(frames)]


def test_a_links_rate_counts_while_it_is_busy_and_not_else() -> None:
    readings = sent("c1", 35e6, 20) + sent("c2", 17.5e6, 20)
    uploads = [("c1", 2.0, 6.2), ("c2", 10.0, 12.0), ("c3", 0.0, 20.0)]
    shares = rate_shares(readings, uploads, 35e6)
    assert shares[:3] == pytest.approx([1.0] * 3, abs=1e-3)  # seconds 3 to 6
    assert shares[3:] == pytest.approx([0.5], abs=1e-3)  # 11 to 12
    assert rate_shares(readings, [("c1", 3.0, 3.9)], 35e6) == []


def test_segments_that_the_interface_counts_as_one_are_counted_as_their_frames() -> None:
    frames = 1000
    segments = [Sent(t, "c1", t * frames * 1448 + t * 100 * 66, t * 100) for t in (0, 1)]
    (share,) = rate_shares(segments, [("c1", -1.0, 2.0)], frames * 1514 * 8)
    assert share == pytest.approx(1.0)


def test_the_dilation_that_would_do_is_offered_to_a_run_that_falls_behind() -> None:
    assert sufficient_tdf([], 1.0) is None
    assert sufficient_tdf([0.001] * 99 + [0.014], 1.0) is None
    assert sufficient_tdf([0.030] * 100, 2.0) is None  # 15 ms of emulated time
    assert sufficient_tdf([0.030] * 100, 1.0) == pytest.approx(2.4)
    assert sufficient_tdf([0.060] * 100, 2.0) == pytest.approx(4.8)
