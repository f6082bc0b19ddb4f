"""A scripted walk is read back as it was written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from traces.datasets import load_folder
from traces.walk import PEOPLE, write_walk


def test_everyone_is_where_the_script_says(tmp_path: Path) -> None:
    positions = [(40.0, 0.5), (125.25, -3.0), (0.0, 0.0)]
    write_walk(tmp_path / "walk", positions, 37.0)
    traces = load_folder(tmp_path / "walk")
    assert len(traces.people) == PEOPLE
    assert traces.interval_s == 37.0
    for trace in traces.traces:
        assert trace.time_s.tolist() == [0.0, 37.0, 74.0]
        assert np.array_equal(trace.positions_m, np.array(positions))
