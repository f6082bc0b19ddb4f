"""Orders to move in ns-2's scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TraceError
from tests.traces.formats.scenarios import PLACED, loaded, order, positions
from traces.recording import Dropped


def test_ns2_node_goes_arrives_and_stays(tmp_path: Path) -> None:
    recording = loaded(tmp_path, "a.tcl", PLACED + order(2, "3 0 1") + order(7, "3 1 2"))
    assert [x for _, x, _ in positions(recording)] == [0, 0, 0, 1, 2, 3, 3, 3, 3]
    assert [y for _, _, y in positions(recording)] == [0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_ns2_order_on_the_way_starts_from_there(tmp_path: Path) -> None:
    recording = loaded(tmp_path, "a.tcl", PLACED + order(0, "10 0 1") + order(4, "4 2 1"))
    assert positions(recording)[4:] == [(4, 4, 0), (5, 4, 1), (6, 4, 2)]


def test_ns2_speed_0_stops(tmp_path: Path) -> None:
    recording = loaded(tmp_path, "a.tcl", PLACED + order(0, "10 0 1") + order(2, "10 0 0"))
    assert positions(recording)[-1] == (2, 2, 0)


def test_ns2_orders_count_by_their_times_not_their_lines(tmp_path: Path) -> None:
    one, two = order(0, "10 0 1"), order(4, "4 2 1")
    sorted_so = positions(loaded(tmp_path, "a.tcl", PLACED + one + two))
    assert positions(loaded(tmp_path, "b.tcl", PLACED + two + one)) == sorted_so


def test_ns2_nodes_last_until_the_last_one_has_arrived(tmp_path: Path) -> None:
    other = PLACED.replace("(0)", "(b)") + order(0, "2 0 1", "b")
    recording = loaded(tmp_path, "a.tcl", PLACED + order(0, "4.5 0 1") + other)
    assert recording.people == ("node0", "nodeb")
    assert positions(recording, 1) == [
        (0, 0, 0),
        (1, 1, 0),
        (2, 2, 0),
        (3, 2, 0),
        (4, 2, 0),
        (5, 2, 0),
    ]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (order(1, "5 5"), "found 2 values"),
        (order(1, "5 5 0 1"), "found 4 values"),
        (order(1, "5 five 1"), "y, found 'five'"),
        (order(-1, "5 5 1"), "must not be negative"),
        (order(1, "5 5 -1"), "must not be negative"),
        (order(1, "5 5 1", "9"), "node 9 is sent off before"),
        ("$node_(0) set X_ here\n", "X_, found 'here'"),
        ("$ns_ at 1.0 $node_(0) setdest 5 5 1\n", "to be placed or sent"),
    ],
)
def test_ns2_line_is_named_or_skipped(tmp_path: Path, line: str, what: str) -> None:
    text = PLACED + line + order(0, "4 0 1")
    with pytest.raises(TraceError, match=rf"a\.tcl:4: .*{what}"):
        loaded(tmp_path, "a.tcl", text)
    recording = loaded(tmp_path, "a.tcl", text, skip_bad=True)
    assert positions(recording)[-1] == (4, 4, 0)
    assert recording.dropped == Dropped(bad_lines=1)


def test_ns2_reads_nothing_of_the_script_around(tmp_path: Path) -> None:
    script = (
        f'# setdest is used below\nset val(nn) 1\n{PLACED}$ns_ at 9 "finish"\n{order(0, "1 0 1")}'
    )
    assert len(loaded(tmp_path, "a.tcl", script).tracks[0]) == 2
