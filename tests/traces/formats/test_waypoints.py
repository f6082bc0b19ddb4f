"""Waypoints have bounds, whichever file they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TraceError
from tests.traces.formats.scenarios import PLACED, loaded, order


def test_scenario_of_far_too_many_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"a\.movements: node0 moves for 1e\+15 s"):
        loaded(tmp_path, "a.movements", "0 0 0 1e15 1 1\n")
    with pytest.raises(TraceError, match=r"a\.tcl: node0 has a time .* of inf"):
        loaded(tmp_path, "a.tcl", PLACED + order(0, "9 9 1e-320"))


def test_nodes_are_limited_together_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traces.formats.waypoints._MAX_IN_ALL", 5)
    with pytest.raises(TraceError, match=r"a\.movements: 2 nodes have 6 positions .* than 5"):
        loaded(tmp_path, "a.movements", "0 0 0 3 1 1\n" * 2)


@pytest.mark.parametrize("line", ["-1e308 0 0 1e308 1 1", "0 -1e308 0 1 1e308 1"])
def test_times_and_places_beyond_all_bounds_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(TraceError, match=r"a\.movements: node0 has a time .* of 1e\+308"):
        loaded(tmp_path, "a.movements", f"{line}\n")
