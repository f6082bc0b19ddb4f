from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.errors import TraceError
from traces.datasets import load_folder
from traces.loading import load
from traces.recording import ReadingRules, Track

KAIST = Path(__file__).resolve().parents[4] / "shared" / "data" / "kaist"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def load_file(path: Path, **reading: Any) -> Track:
    (track,) = load(path, "crawdad", ReadingRules(**reading)).tracks
    return track


def test_columns_are_seconds_x_and_y(tmp_path: Path) -> None:
    trace = load_file(write(tmp_path, "a.txt", " 0.0e+00\t 1.5 \t-2 \t\r\n\n30 3 4\n"))
    assert trace.name == trace.person == "a"
    assert trace.time_s.tolist() == [0, 30]
    assert (trace.x.tolist(), trace.y.tolist()) == ([1.5, 3], [-2, 4])


def test_time_is_counted_from_the_first_sample(tmp_path: Path) -> None:
    trace = load_file(write(tmp_path, "a.txt", "900 0 0\n930 0 0\n"))
    assert trace.time_s.tolist() == [0, 30]


def test_folder_is_loaded_by_name_without_its_notes(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt"):
        write(tmp_path, name, "0 0 0\n30 1 1\n")
    for name in ("SOURCE.txt", "readme.txt", "License.txt", "table.csv"):
        write(tmp_path, name, "not a trace")
    traces = load_folder(tmp_path)
    assert traces.people == ("a", "b")
    assert traces.source == tmp_path.name
    assert traces.interval_s == 30


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("0 0 0\n30 1\n", ":2: ", "2 fields"),
        ("0 0 0\n30 1 2 3\n", ":2: ", "4 fields"),
        ("0 0\n30 1\n", ":1: ", "2 fields"),
        ("0 0 0\n\n30 one 2\n", ":3: ", "'one'"),
        ("0 0 0\n30 nan 2\n", ":2: ", "finite"),
        ("0 0 0\n30 inf 2\n", ":2: ", "finite"),
        ("# time x y\n0 0 0\n", ":1: ", "fields"),
        ("0 0 1_0\n", ":1: ", "1_0"),
        ("", "bad.txt: ", "no samples"),
        (" \n\n", "bad.txt: ", "no samples"),
    ],
)
def test_malformed_file_is_named_with_its_line(
    tmp_path: Path, text: str, where: str, what: str
) -> None:
    write(tmp_path, "good.txt", "0 0 0\n30 1 1\n")
    write(tmp_path, "bad.txt", text)
    with pytest.raises(TraceError) as caught:
        load_folder(tmp_path)
    assert f"bad.txt{where}".replace("bad.txtbad.txt", "bad.txt") in str(caught.value)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("0 0 0\n60 0 0\n30 0 0\n", ":3: ", "60 s to 30 s"),
        ("0 0 0\n0 0 0\n", ":2: ", "must increase"),
    ],
)
def test_time_that_does_not_go_on_is_refused_where_asked_for(
    tmp_path: Path, text: str, where: str, what: str
) -> None:
    file = write(tmp_path, "bad.txt", text)
    with pytest.raises(TraceError, match=what) as caught:
        load_file(file, backwards="refuse")
    assert f"bad.txt{where}" in str(caught.value)


def test_samples_that_do_not_go_on_are_left_out_and_counted(tmp_path: Path) -> None:
    text = "0 0 0\n60 1 0\n30 2 0\n60 3 0\n61 4 0\n"
    for name, further in (("sound.txt", ""), ("bad.txt", "x\n")):  # the quick way, and by lines
        recording = load(
            write(tmp_path, name, text + further), "crawdad", ReadingRules(skip_bad=True)
        )
        assert recording.tracks[0].time_s.tolist() == [0, 60, 61]
        assert recording.dropped.backwards == 2


def test_bad_lines_and_files_without_a_good_one_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "0 0 0\nx\n30 1 1\n60 nan 0\n")
    write(tmp_path, "b.txt", "hello\n")
    write(tmp_path, "c.txt", "")
    recording = load(tmp_path, "auto", ReadingRules(skip_bad=True))
    assert recording.people == ("a",)
    assert recording.files == 3
    assert (recording.dropped.bad_lines, recording.dropped.unusable) == (3, 2)


def test_bytes_that_are_no_text_name_the_line(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_bytes(b"0 0 0\n30 \xff\xfe 1\n")
    with pytest.raises(TraceError, match=r"bad\.txt:2: "):
        load_folder(tmp_path)


def test_missing_empty_and_motionless_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such folder or file"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(TraceError, match="no trace files"):
        load_folder(tmp_path)
    write(tmp_path, "a.txt", "0 0 0\n")
    with pytest.raises(TraceError, match="two samples"):
        load_folder(tmp_path)


@pytest.mark.skipif(not KAIST.is_dir(), reason="the KAIST data are not at hand")
def test_kaist_is_92_days_of_30_s_steps() -> None:
    traces = load_folder(KAIST)
    assert len(traces.people) == 92
    assert traces.source == "kaist"
    assert traces.interval_s == 30
    assert sum(map(len, traces.traces)) == 135_055
    assert all((np.diff(trace.time_s) == 30).all() for trace in traces.traces)
