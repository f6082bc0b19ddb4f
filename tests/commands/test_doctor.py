"""`testbed doctor` says what the machine lacks."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.emulation.fitness import examination
from testbed.emulation.fitness.examination import Finding


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ([Finding("root", "found", "runs as root")], 0),
        ([Finding("NVML", "fallback", "no GPU")], 0),
        ([Finding("root", "missing", "not root", "sudo")], 3),
    ],
)
def test_doctor_ends_with_3_when_something_is_missing(
    testbed: Any, monkeypatch: pytest.MonkeyPatch, findings: list[Finding], status: int
) -> None:
    monkeypatch.setattr(examination, "examine", lambda: findings)
    assert testbed("doctor").status == status
    ended = testbed("doctor", "--json")
    assert ended.status == status
    assert ended.json["findings"][0]["state"] == findings[0].state
