"""Movement written by generators and simulators: BonnMotion, ns-2, SUMO."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from testbed.errors import TraceError
from tests.traces.samples import write
from traces.loading import load
from traces.recording import Dropped, Reading, Recording


def loaded(
    folder: Path, name: str, text: str, forced: str = "auto", **reading: object
) -> Recording:
    return load(write(folder / name, (text,)), forced, Reading(**reading))


def positions(recording: Recording, track: int = 0) -> list[tuple[float, float, float]]:
    found = recording.tracks[track]
    return list(zip(*(each.tolist() for each in (found.time_s, found.x, found.y)), strict=True))


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


def test_scenario_of_far_too_many_steps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"a\.movements: node0 moves for 1e\+15 s"):
        loaded(tmp_path, "a.movements", "0 0 0 1e15 1 1\n")
    with pytest.raises(TraceError, match=r"a\.tcl: node0 has a time .* of inf"):
        loaded(tmp_path, "a.tcl", PLACED + order(0, "9 9 1e-320"))


PLACED = "$node_(0) set X_ 0.0\n$node_(0) set Y_ 0.0\n$node_(0) set Z_ 0.0\n"


def order(time_s: float, values: str, node: str = "0") -> str:
    return f'$ns_ at {time_s} "$node_({node}) setdest {values}"\n'


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


def fcd(*steps: str, comment: str = "") -> str:
    return (
        f'<?xml version="1.0"?>\n{comment}<fcd-export>\n' + "\n".join(steps) + "\n</fcd-export>\n"
    )


def at(time_s: float, *movers: str) -> str:
    return f'<timestep time="{time_s:.2f}">' + "".join(movers) + "</timestep>"


def mover(identity: str, x: float, y: float, kind: str = "vehicle") -> str:
    return f'<{kind} id="{identity}" x="{x}" y="{y}" angle="90" type="any" speed="1"/>'


def test_sumo_vehicles_and_persons_come_and_go(tmp_path: Path) -> None:
    text = fcd(
        at(0, mover("car", 500, 0)),
        at(1, mover("car", 510, 0), mover("kim", 5, 900, "person"), "<container id='c' x='1'/>"),
        at(2, mover("kim", 6, 900, "person")),
    )
    recording = loaded(tmp_path, "fcd.xml", text)
    assert recording.people == ("car", "kim")
    assert positions(recording) == [(0, 500, 0), (1, 510, 0)]
    assert positions(recording, 1) == [(1, 5, 900), (2, 6, 900)]


def test_sumo_ids_are_told_apart_by_kind(tmp_path: Path) -> None:
    movers = (mover("0", 500, 0), mover("0", 5, 900, "person"), mover("1", 7, 900))
    recording = loaded(tmp_path, "fcd.xml", fcd(at(0, *movers), at(1, *movers)))
    assert recording.people == ("vehicle/0", "person/0", "1")


@pytest.mark.parametrize(
    ("position", "step", "comment", "geographic"),
    [
        ((13.4, 52.5), 0.0001, "", True),
        ((13.4, 52.5), 1.5, "", False),
        ((13.4, 52.5), 0, "", False),
        ((250.0, 52.5), 0.0001, "", False),
        ((13.4, 52.5), 0.0001, '<!-- <fcd-output value="a"/> -->', False),
        ((13.4, 52.5), 1.5, '<!-- <fcd-output value="a"/> <fcd-output.geo value="1"/> -->', True),
    ],
)
def test_sumo_degrees_are_told_from_metres(
    tmp_path: Path, position: tuple[float, float], step: float, comment: str, geographic: bool
) -> None:
    x, y = position
    text = fcd(at(0, mover("a", x, y)), at(1, mover("a", x + step, y)), comment=comment)
    recording = loaded(tmp_path, "fcd.xml", text)
    assert recording.geographic is geographic
    assert (recording.tracks[0].x[0], recording.tracks[0].y[0]) == position


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (at(1, '<vehicle id="a" x="1"/>'), "vehicle's y, found ''"),
        (at(1, '<vehicle id="a" x="one" y="1"/>'), "vehicle's x, found 'one'"),
        (at(1, '<vehicle x="1" y="1"/>'), "no id"),
        ("<timestep>" + mover("a", 1, 1) + "</timestep>", "timestep's time"),
    ],
)
def test_sumo_element_is_named_or_skipped(tmp_path: Path, line: str, what: str) -> None:
    text = fcd(at(0, mover("a", 500, 0)), line, at(2, mover("a", 502, 0)))
    with pytest.raises(TraceError, match=rf"fcd\.xml:4: .*{what}"):
        loaded(tmp_path, "fcd.xml", text)
    recording = loaded(tmp_path, "fcd.xml", text, skip_bad=True)
    assert recording.tracks[0].time_s.tolist() == [0, 2]
    assert recording.dropped == Dropped(bad_lines=1)


def test_sumo_file_that_breaks_off_keeps_what_it_has(tmp_path: Path) -> None:
    text = fcd(at(0, mover("a", 500, 0)), at(1, mover("a", 501, 0)), at(2, "<vehi"))
    with pytest.raises(TraceError, match=r"fcd\.xml:5: not well-formed XML"):
        loaded(tmp_path, "fcd.xml", text)
    recording = loaded(tmp_path, "fcd.xml", text, skip_bad=True)
    assert (len(recording.tracks[0]), recording.dropped) == (2, Dropped(bad_lines=1))


def test_lines_beyond_65535_are_named(tmp_path: Path) -> None:
    text = fcd(at(0, mover("a", 500, 0)), "\n" * 70_000, at(1, '<vehicle id="a"/>'))
    with pytest.raises(TraceError, match=r"fcd\.xml:70005: "):
        loaded(tmp_path, "fcd.xml", text)


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    """A billion laughs, in an attribute and in text, and a file that is not ours."""
    secret = write(tmp_path / "secret", ("500",))
    entities = '<!ENTITY e0 "0123456789">' + "".join(
        f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10)
    )
    for declared, value in (
        (entities, "&e9;"),
        (f'<!ENTITY e SYSTEM "{secret.as_uri()}">', "&e;"),
    ):
        text = (
            f"<!DOCTYPE fcd-export [{declared}]>\n<fcd-export>"
            f'<timestep time="0">{value}<vehicle id="a" x="{value}" y="0"/></timestep></fcd-export>'
        )
        with pytest.raises(TraceError, match=r"bomb\.xml"):
            loaded(tmp_path, "bomb.xml", text, "sumo")


def test_sumo_time_going_backwards(tmp_path: Path) -> None:
    text = fcd(*(at(t, mover("a", 500, t)) for t in (0, 2, 1, 3)))
    recording = loaded(tmp_path, "fcd.xml", text)
    assert np.array_equal(recording.tracks[0].time_s, [0, 2, 3])
    with pytest.raises(TraceError, match=r"fcd\.xml:5: time goes from 2 s to 1 s"):
        loaded(tmp_path, "fcd.xml", text, backwards="refuse")


def test_nodes_are_limited_together_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traces.waypoints._MOST_IN_ALL", 5)
    with pytest.raises(TraceError, match=r"a\.movements: 2 nodes have 6 positions .* than 5"):
        loaded(tmp_path, "a.movements", "0 0 0 3 1 1\n" * 2)


@pytest.mark.parametrize("line", ["-1e308 0 0 1e308 1 1", "0 -1e308 0 1 1e308 1"])
def test_times_and_places_beyond_all_bounds_are_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(TraceError, match=r"a\.movements: node0 has a time .* of 1e\+308"):
        loaded(tmp_path, "a.movements", f"{line}\n")


def test_simulated_clock_starts_in_the_second_of_its_first_sample(tmp_path: Path) -> None:
    epoch = 1.7e9
    text = fcd(
        at(epoch + 0.25, mover("a", 500, 0)),
        at(epoch + 1.25, mover("a", 501, 0), mover("b", 500, 0)),
        at(epoch + 2.25, mover("b", 501, 0)),
    )
    recording = loaded(tmp_path, "fcd.xml", text)
    assert [track.time_s.tolist() for track in recording.tracks] == [[0.25, 1.25], [1.25, 2.25]]


@pytest.mark.parametrize(
    ("declared", "what"),
    [
        (f'<!ATTLIST vehicle name CDATA "{"long" * 1000}">', "attributes of 'vehicle'"),
        ("<!ELEMENT vehicle EMPTY>", "an element 'vehicle'"),
        ('<!NOTATION n SYSTEM "n">', "a notation 'n'"),
        ('<!ENTITY e "e">', "an entity 'e'"),
    ],
)
def test_declarations_are_refused_by_name(tmp_path: Path, declared: str, what: str) -> None:
    text = fcd(at(0, mover("a", 500, 0)), at(1, mover("a", 501, 0)))
    text = text.replace("<fcd-export>", f"<!DOCTYPE fcd-export [{declared}]><fcd-export>")
    with pytest.raises(TraceError, match=rf"fcd\.xml:2: it declares {what}"):
        loaded(tmp_path, "fcd.xml", text)


def test_document_type_without_declarations_is_read(tmp_path: Path) -> None:
    text = fcd(at(0, mover("a", 500, 0)), at(1, mover("a", 501, 0)))
    text = text.replace("<fcd-export>", '<!DOCTYPE fcd-export SYSTEM "fcd.dtd"><fcd-export>')
    assert len(loaded(tmp_path, "fcd.xml", text).tracks[0]) == 2


def test_times_in_messages_have_all_their_digits(tmp_path: Path) -> None:
    text = fcd(*(at(t, mover("a", 500, t)) for t in (1714560000.5, 1714559999.25)))
    with pytest.raises(TraceError, match=r"from 1714560000\.5 s to 1714559999\.25 s"):
        loaded(tmp_path, "fcd.xml", text, backwards="refuse")
