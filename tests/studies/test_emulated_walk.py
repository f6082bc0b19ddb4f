"""The scripted walk of one client from a server to the next."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from testbed.movement import prepare
from testbed.settings.experiment import from_dict, to_dict
from testbed.studies.emulated_walk import expected, walk
from testbed.studies.single_client import Asked


def test_the_walk_is_one_handover_and_nothing_is_sent_back(tmp_path: Path) -> None:
    settings = from_dict({"name": "walk", "model": {"name": "mobilenet"}})
    asked = Asked(settings, ("mobilenet",), None, False)
    run = walk(asked, "mobilenet", tmp_path / "walk", "perdnn", 1.5)
    assert run == from_dict(json.loads(json.dumps(to_dict(run))))
    schedule = prepare(run).schedule
    assert list(schedule.clients) == ["c1"]
    first, second = schedule.handovers
    dwell_s = run.traces.interval_s
    assert dwell_s > expected(settings).finished_s
    assert (first.from_ap, second.time_s) == (None, dwell_s)
    assert (second.from_ap, second.to_ap) == (first.to_ap, "ap2")
    assert schedule.duration_s == 2 * dwell_s
    a, b = schedule.access_points
    assert np.hypot(a.x_m - b.x_m, a.y_m - b.y_m) == pytest.approx(86.6, abs=0.1)
    at_a, at_b = schedule.fixes
    radius_m = run.migration.radius_m
    assert np.hypot(at_a.x_m - b.x_m, at_a.y_m - b.y_m) < radius_m
    assert np.hypot(at_b.x_m - a.x_m, at_b.y_m - a.y_m) > radius_m
