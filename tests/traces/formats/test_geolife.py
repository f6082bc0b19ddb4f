from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TraceError
from tests.traces.samples import HEADING, LAT_DEG, LON_DEG, plt_line, write
from traces.loading import load
from traces.recording import Dropped, ReadingRules, Recording

FIRST = plt_line(0, LAT_DEG, LON_DEG)
LAST = plt_line(60, LAT_DEG, LON_DEG + 0.001)


def loaded(folder: Path, *lines: str, heading: str = HEADING, **reading: object) -> Recording:
    file = folder / "Data" / "042" / "Trajectory" / "20091017120000.plt"
    write(file, (heading, *lines))
    return load(folder, "geolife", ReadingRules(**reading))


def test_trajectory_belongs_to_the_user_of_its_folder(tmp_path: Path) -> None:
    (track,) = loaded(tmp_path, FIRST, LAST).tracks
    assert (track.name, track.person) == ("042/20091017120000", "042")
    assert track.time_s.tolist() == [0, 60]
    assert (track.x.tolist(), track.y.tolist()) == ([LON_DEG, LON_DEG + 0.001], [LAT_DEG] * 2)


@pytest.mark.parametrize("start", [".", "Data", "Data/042", "Data/042/Trajectory"])
def test_any_folder_of_the_layout_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    loaded(tmp_path, FIRST, LAST)
    monkeypatch.chdir(tmp_path / start)
    assert load(Path()).people == ("042",)


def test_files_outside_the_layout_belong_to_their_folder(tmp_path: Path) -> None:
    write(tmp_path / "kim" / "walk.plt", (HEADING, FIRST, LAST))
    assert load(tmp_path).people == ("kim",)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("39.9,116.3,0,492,39744.12\r\n", "expected 7 fields"),
        ("north,116.3,0,492,39744.12,2008-10-23,02:53:04\r\n", "latitude, found 'north'"),
        ("39.9,116.3,0,492,inf,2008-10-23,02:53:04\r\n", "days, found 'inf'"),
        ("39.9,116.3,0,492,,2008-10-23,02:53:04\r\n", "days, found ''"),
    ],
)
def test_malformed_line_is_named_or_counted(tmp_path: Path, line: str, what: str) -> None:
    with pytest.raises(TraceError, match=rf"20091017120000\.plt:8: .*{what}"):
        loaded(tmp_path, FIRST, line, LAST)
    recording = loaded(tmp_path, FIRST, line, LAST, skip_bad=True)
    assert recording.tracks[0].time_s.tolist() == [0, 60]
    assert recording.dropped == Dropped(bad_lines=1)


@pytest.mark.parametrize("further", ["", "nonsense\r\n"])
def test_positions_off_the_earth_are_left_out_and_counted(tmp_path: Path, further: str) -> None:
    lines = (FIRST, plt_line(30, 400.17, 116.2), LAST, further)
    recording = loaded(tmp_path, *lines, skip_bad=bool(further))
    assert recording.tracks[0].time_s.tolist() == [0, 60]
    assert recording.dropped.off_earth == 1


def test_time_going_backwards_is_left_out_or_refused(tmp_path: Path) -> None:
    lines = (FIRST, LAST, plt_line(30, LAT_DEG, LON_DEG), plt_line(60, LAT_DEG, LON_DEG))
    recording = loaded(tmp_path, *lines)
    assert recording.tracks[0].time_s.tolist() == [0, 60]
    assert recording.dropped == Dropped(backwards=2)
    with pytest.raises(TraceError, match=r"\.plt:9: time goes from"):
        loaded(tmp_path, *lines, backwards="refuse")


def test_files_without_samples_are_refused_or_counted(tmp_path: Path) -> None:
    write(tmp_path / "Data" / "001" / "Trajectory" / "empty.plt", (HEADING,))
    with pytest.raises(TraceError, match=r"empty\.plt: holds no samples"):
        loaded(tmp_path, FIRST, LAST)
    recording = loaded(tmp_path, FIRST, LAST, skip_bad=True)
    assert (recording.files, recording.dropped) == (2, Dropped(unusable=1))


def test_another_heading_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"\.plt:1: expected 'Geolife trajectory', found 'Ozi"):
        loaded(tmp_path, FIRST, LAST, heading=HEADING.replace("Geolife trajectory", "OziExplorer"))
