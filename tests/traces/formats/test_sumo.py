"""SUMO's floating car data: vehicles and persons, metres and degrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from testbed.errors import TraceError
from tests.traces.formats.fcd import at, fcd, mover
from tests.traces.formats.scenarios import loaded, positions
from traces.recording import Dropped


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


def test_sumo_time_going_backwards(tmp_path: Path) -> None:
    text = fcd(*(at(t, mover("a", 500, t)) for t in (0, 2, 1, 3)))
    recording = loaded(tmp_path, "fcd.xml", text)
    assert np.array_equal(recording.tracks[0].time_s, [0, 2, 3])
    with pytest.raises(TraceError, match=r"fcd\.xml:5: time goes from 2 s to 1 s"):
        loaded(tmp_path, "fcd.xml", text, backwards="refuse")


def test_simulated_clock_starts_in_the_second_of_its_first_sample(tmp_path: Path) -> None:
    epoch = 1.7e9
    text = fcd(
        at(epoch + 0.25, mover("a", 500, 0)),
        at(epoch + 1.25, mover("a", 501, 0), mover("b", 500, 0)),
        at(epoch + 2.25, mover("b", 501, 0)),
    )
    recording = loaded(tmp_path, "fcd.xml", text)
    assert [track.time_s.tolist() for track in recording.tracks] == [[0.25, 1.25], [1.25, 2.25]]


def test_times_in_messages_have_all_their_digits(tmp_path: Path) -> None:
    text = fcd(*(at(t, mover("a", 500, t)) for t in (1714560000.5, 1714559999.25)))
    with pytest.raises(TraceError, match=r"from 1714560000\.5 s to 1714559999\.25 s"):
        loaded(tmp_path, "fcd.xml", text, backwards="refuse")
