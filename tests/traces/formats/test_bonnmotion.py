"""BonnMotion's waypoints."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TraceError
from tests.traces.formats.scenarios import loaded, positions
from traces.recording import Dropped


def test_bonnmotion_moves_straight_between_waypoints(tmp_path: Path) -> None:
    text = "# two nodes\n0.0 0 0 2 4 0 3 4 0 5 4 8\n\n1 7 7\n"
    recording = loaded(tmp_path, "a.movements", text)
    assert recording.people == ("node0", "node1")
    assert positions(recording) == [
        (0, 0, 0),
        (1, 2, 0),
        (2, 4, 0),
        (3, 4, 0),
        (4, 4, 4),
        (5, 4, 8),
    ]
    assert positions(recording, 1) == [(1, 7, 7)]


def test_bonnmotion_is_sampled_at_multiples_of_the_step(tmp_path: Path) -> None:
    recording = loaded(tmp_path, "a.movements", "0.5 0 0 6.5 6 0\n", sample_s=2.0)
    assert positions(recording) == [(0, 1.5, 0), (2, 3.5, 0), (4, 5.5, 0)]


@pytest.mark.parametrize("fourth", ["9", "0"])
def test_bonnmotion_with_height_or_status(tmp_path: Path, fourth: str) -> None:
    text = "".join(f"0 0 {y} {fourth} 1 1 {y} {fourth} 2 4 {y} 7\n" for y in range(3))
    recording = loaded(tmp_path, "a.movements", text)
    assert positions(recording, 2) == [(0, 0, 2), (1, 1, 2), (2, 4, 2)]


@pytest.mark.parametrize(
    ("line", "what"),
    [("0 0 0 1 1", "5 numbers"), ("0 0 zero 1 1 1", "'zero'"), ("0 0 nan 1 1 1", "'nan'")],
)
def test_bonnmotion_line_is_named_or_skipped(tmp_path: Path, line: str, what: str) -> None:
    text = f"0 0 0 2 2 0\n{line}\n0 0 1 2 2 1\n"
    with pytest.raises(TraceError, match=rf"a\.movements:2: .*{what}"):
        loaded(tmp_path, "a.movements", text)
    recording = loaded(tmp_path, "a.movements", text, skip_bad=True)
    assert recording.people == ("node0", "node2")
    assert recording.dropped == Dropped(bad_lines=1)


def test_bonnmotion_waypoints_going_back(tmp_path: Path) -> None:
    text = "0 0 0 4 4 0 2 9 9 6 6 0\n0 0 0 1 1 1\n"
    recording = loaded(tmp_path, "a.movements", text)
    assert positions(recording)[-1] == (6, 6, 0)
    assert recording.dropped == Dropped(backwards=1)
    with pytest.raises(TraceError, match=r"a\.movements:1: time goes from 4 s to 2 s"):
        loaded(tmp_path, "a.movements", text, backwards="refuse")
