from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TraceError
from tests.traces.samples import gpx, iso, write
from traces.loading import load
from traces.recording import Dropped, ReadingRules

NAMESPACE = "http://www.topografix.com/GPX/1/1"


def point(time: str | None, lat: object = 36.0, lon: object = 127.0) -> str:
    inside = "<ele>5</ele>" + ("" if time is None else f"<time>{time}</time>")
    return f'<trkpt lat="{lat}" lon="{lon}">{inside}</trkpt>\n'


def document(*segments: str, namespace: str = NAMESPACE) -> str:
    inside = "".join(f"<trk><trkseg>{segment}</trkseg></trk>\n" for segment in segments)
    return f'<gpx version="1.1" xmlns="{namespace}">\n{inside}</gpx>\n'


def test_each_segment_is_a_track_of_the_files_person(tmp_path: Path) -> None:
    segments = [point(iso(t)) + point(iso(t + 30), lon=127.1) for t in (0, 300)]
    recording = load(write(tmp_path / "kim.gpx", (document(*segments),)))
    assert [(track.name, track.person) for track in recording.tracks] == [
        ("kim-1", "kim"),
        ("kim-2", "kim"),
    ]
    assert all(track.time_s.tolist() == [0, 30] for track in recording.tracks)
    assert recording.tracks[0].x.tolist() == [127.0, 127.1]


def test_folders_are_people(tmp_path: Path) -> None:
    gpx(tmp_path / "set" / "kim")
    (tmp_path / "set" / "kim" / "bob.gpx").rename(tmp_path / "set" / "bob.gpx")
    recording = load(tmp_path / "set")
    assert {track.name: track.person for track in recording.tracks} == {
        "bob": "bob",
        "kim/ann": "kim",
    }


@pytest.mark.parametrize("namespace", ["http://www.topografix.com/GPX/1/0", ""])
def test_other_namespaces_are_read_too(tmp_path: Path, namespace: str) -> None:
    text = document(point(iso(0)) + point(iso(30)), namespace=namespace)
    assert len(load(write(tmp_path / "a.gpx", (text,))).tracks[0]) == 2


@pytest.mark.parametrize(
    "later",
    [
        "2009-10-17T12:00:30Z",
        "2009-10-17T21:00:30+09:00",
        "2009-10-17T12:00:30",
        "2009-10-17T12:00:30.000Z",
    ],
)
def test_zones_and_fractions_of_times(tmp_path: Path, later: str) -> None:
    text = document(point(iso(0)) + point(later))
    assert load(write(tmp_path / "a.gpx", (text,))).tracks[0].time_s.tolist() == [0, 30]


@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (point(None), "expected a time"),
        (point("noon"), "found 'noon'"),
        (point("2009-13-17T12:00:00Z"), "2009-13-17"),
        (point(iso(9), lat=91), "latitude 91"),
        (point(iso(9), lon="east"), "longitude, found 'east'"),
    ],
)
def test_point_is_named_or_skipped(tmp_path: Path, bad: str, what: str) -> None:
    file = write(tmp_path / "a.gpx", (document(point(iso(0)) + bad + point(iso(30))),))
    with pytest.raises(TraceError, match=rf"a\.gpx:3: .*{what}"):
        load(file)
    recording = load(file, reading=ReadingRules(skip_bad=True))
    assert recording.tracks[0].time_s.tolist() == [0, 30]
    assert recording.dropped == Dropped(bad_lines=1)


def test_file_of_waypoints_alone_has_no_samples(tmp_path: Path) -> None:
    file = write(tmp_path / "a.gpx", (f'<gpx xmlns="{NAMESPACE}"><wpt lat="1" lon="2"/></gpx>',))
    with pytest.raises(TraceError, match=r"a\.gpx: holds no samples"):
        load(file)


def test_time_in_extensions_is_not_the_points(tmp_path: Path) -> None:
    other = f"<extensions><time>{iso(999)}</time><a><time>never</time></a></extensions></trkpt>"
    points = (point(iso(t)).replace("</trkpt>", other) for t in (0, 30))
    recording = load(write(tmp_path / "a.gpx", (document("".join(points)),)))
    assert recording.tracks[0].time_s.tolist() == [0, 30]
    assert recording.dropped == Dropped()


def test_tracks_that_overlap_in_time_are_several_people(tmp_path: Path) -> None:
    def walk(start_s: int) -> str:
        return point(iso(start_s)) + point(iso(start_s + 30))

    apart = load(write(tmp_path / "apart.gpx", (document(walk(0), walk(30)),)))
    assert apart.people == ("apart",)
    both = document(walk(0) + "</trkseg><trkseg>" + walk(100), walk(20))
    recording = load(write(tmp_path / "both.gpx", (both,)))
    assert [(track.name, track.person) for track in recording.tracks] == [
        ("both-1", "both/1"),
        ("both-2", "both/1"),
        ("both-3", "both/2"),
    ]
