"""Whether a run's numbers may be believed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from testbed.emulation.fidelity import DEGRADED_S, INVALID_S, assess, distribution

GOOD: dict[str, Any] = {
    "step_late_s": [0.001] * 20,
    "compute_late_s": [0.0] * 500,
    "cpu_busy_share": [0.5, 0.7],
    "packets_captured": 1000,
    "packets_dropped": 0,
    "compared": 10,
    "unequal": 0,
    "fallbacks": 0,
}


def test_a_run_that_kept_its_times_is_good() -> None:
    found = assess(**GOOD)
    assert found["verdict"] == "good"
    assert found["reasons"] == []
    assert found["packets_captured"] == 1000
    assert found["executions_compared"] == 10


@pytest.mark.parametrize("what", ["step_late_s", "compute_late_s"])
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
    found = assess(**GOOD | {what: [late_s] * 50})
    assert found["verdict"] == verdict
    assert len(found["reasons"]) == (verdict != "good")
    if verdict != "good":
        assert f"{late_s * 1e3:.1f} ms late" in found["reasons"][0]


def test_one_late_computation_in_two_hundred_is_no_loss_of_fidelity() -> None:
    assert assess(**GOOD | {"compute_late_s": [0.0] * 199 + [1.0]})["verdict"] == "good"
    assert assess(**GOOD | {"compute_late_s": [0.0] * 19 + [1.0]})["verdict"] == "invalid"


@pytest.mark.parametrize(
    "late", [("step_late_s", "compute_late_s"), ("compute_late_s", "step_late_s")]
)
def test_the_worse_of_two_verdicts_stands(late: tuple[str, str]) -> None:
    worse, better = late
    found = assess(**GOOD | {worse: [1.0] * 9, better: [0.02] * 9})
    assert found["verdict"] == "invalid"
    assert len(found["reasons"]) == 2


@pytest.mark.parametrize("trouble", ["packets_dropped", "unequal", "fallbacks"])
def test_each_trouble_degrades_and_is_counted(trouble: str) -> None:
    found = assess(**GOOD | {trouble: 3})
    assert found["verdict"] == "degraded"
    (reason,) = found["reasons"]
    assert "3" in reason
    assert 3 in found.values()


def test_trouble_does_not_improve_an_invalid_run() -> None:
    found = assess(**GOOD | {"step_late_s": [1.0], "packets_dropped": 1})
    assert found["verdict"] == "invalid"
    assert len(found["reasons"]) == 2


def test_a_run_without_samples_can_be_written_down() -> None:
    found = assess(**GOOD | {"step_late_s": [], "compute_late_s": [], "cpu_busy_share": []})
    assert found["step_late_s"] == {"count": 0}
    json.dumps(found, allow_nan=False)


def test_a_distribution_names_its_percentiles() -> None:
    found = distribution([float(value) for value in range(101)])
    assert found == {"count": 101, "p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0}
