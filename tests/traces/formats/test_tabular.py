"""CSV and Parquet: columns by their names, rows of whoever they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from testbed.errors import TraceError
from tests.traces.samples import NOON, iso, write
from traces.loading import load
from traces.recording import Dropped, ReadingRules, Recording


def loaded(folder: Path, text: str, **reading: object) -> Recording:
    return load(write(folder / "a.csv", (text,)), "csv", ReadingRules(**reading))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize(
    "names", ["ID time X Y", "user T x_m y_m", "Node Timestamp Easting Northing"]
)
def test_separators_and_names(tmp_path: Path, separator: str, names: str) -> None:
    lines = [names, "b 0 1 2", "a 0 5 6", "b 30 3 4"]
    text = "\n".join(line.replace(" ", separator) for line in lines)
    recording = loaded(tmp_path, text)
    assert load(tmp_path).format == "csv"
    assert recording.people == ("b", "a")
    assert not recording.geographic
    assert (recording.tracks[0].x.tolist(), recording.tracks[0].y.tolist()) == ([1, 3], [2, 4])


def test_columns_in_any_order_with_others_between(tmp_path: Path) -> None:
    recording = loaded(tmp_path, "Longitude,speed,LAT,note,time\n127,1,36,x,0\n127.1,1,36.1,,30\n")
    assert recording.geographic
    assert recording.people == ("a",)
    assert (recording.tracks[0].x.tolist(), recording.tracks[0].y.tolist()) == (
        [127, 127.1],
        [36, 36.1],
    )


@pytest.mark.parametrize(
    "times",
    [
        ("0", "30"),
        ("1.5e9", "1500000030"),
        (iso(0), iso(30)),
        ("2009-10-17 12:00", "2009-10-17 12:00:30"),
        ("2009-10-17T12:00:00+09:00", "2009-10-17T03:00:30Z"),
        ("2009-10-17T12:00:00.25", "2009-10-17 12:00:30.25"),
        ("0", '"30"'),
    ],
)
def test_times_are_numbers_or_dates(tmp_path: Path, times: tuple[str, str]) -> None:
    recording = loaded(tmp_path, "time,x,y\n" + "".join(f"{time},0,0\n" for time in times))
    assert recording.tracks[0].time_s.tolist() == [0, 30]


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ("id,time,x,y,lat,lon", "both kinds of position"),
        ("id,time,timestamp,x,y", "time may be more than one"),
        ("id,user,time,x,y", "person may be more than one"),
        ("id,time,x,lat", "not all that is needed"),
        ("id,x,y", "not all that is needed"),
        ("a,b,c", "not all that is needed"),
    ],
)
def test_columns_that_do_not_say_what_is_meant(tmp_path: Path, names: str, what: str) -> None:
    with pytest.raises(TraceError, match=what) as caught:
        loaded(tmp_path, f"{names}\n" + ",".join("1" for _ in names.split(",")) + "\n")
    assert "a.csv:1: found columns " + names.replace(",", ", ") in str(caught.value)
    assert "needed: a time" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("a,10,1", "expected 4 fields, found 3"),
        ("a,10,1,2,3", "expected 4 fields, found 5"),
        ("a,soon,1,2", "seconds, found 'soon'"),
        ("a,10,,2", "x, found ''"),
        ("a,10,1,nan", "y, found 'nan'"),
        (",10,1,2", "no id"),
    ],
)
def test_csv_line_is_named_or_skipped(tmp_path: Path, line: str, what: str) -> None:
    text = f"id,time,x,y\na,0,0,0\n\n{line}\na,30,3,0\n"
    with pytest.raises(TraceError, match=rf"a\.csv:4: .*{what}"):
        loaded(tmp_path, text)
    recording = loaded(tmp_path, text, skip_bad=True)
    assert recording.tracks[0].time_s.tolist() == [0, 30]
    assert recording.dropped == Dropped(bad_lines=1)


def test_csv_degrees_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"a\.csv:3: latitude 127"):
        loaded(tmp_path, "time,lat,lon\n0,36,127\n30,127,36\n")


def test_csv_quotes_and_blanks(tmp_path: Path) -> None:
    recording = loaded(
        tmp_path, '"id","time","x","y"\n"a, b", 0, 1,2\r\n"a, b",30,1,2\r\n c ,0,1,2\r\n'
    )
    assert recording.people == ("a, b", "c")


def test_rows_of_a_person_count_in_their_order(tmp_path: Path) -> None:
    text = "id,time,x,y\na,0,0,0\nb,60,0,0\na,30,1,0\nb,30,1,0\nb,90,2,0\na,30,9,9\n"
    recording = loaded(tmp_path, text)
    assert [track.x.tolist() for track in recording.tracks] == [[0, 1], [0, 2]]
    assert recording.dropped == Dropped(backwards=2)
    with pytest.raises(TraceError, match=r"a\.csv:5: time goes from 60 s to 30 s"):
        loaded(tmp_path, text, backwards="refuse")


def table(folder: Path, **columns: object) -> Path:
    path = folder / "a.parquet"
    parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    "times",
    [
        [0, 30],
        [0.0, 30.0],
        [NOON.replace(tzinfo=None), NOON.replace(tzinfo=None, second=30)],
        pa.array([0, 30_000_000_000], pa.timestamp("ns", "Asia/Seoul")),
        pa.array([0, 30_000], pa.timestamp("ms")),
        [iso(0), iso(30)],
        ["0", "30"],
    ],
)
def test_parquet_times(tmp_path: Path, times: object) -> None:
    (track,) = load(table(tmp_path, t=times, x=[1, 2], y=[3.0, 4.0])).tracks
    assert track.time_s.tolist() == [0, 30]
    assert (track.x.tolist(), track.y.tolist()) == ([1, 2], [3, 4])


@pytest.mark.parametrize(
    "ids", [[7, 7, 8], ["7", "7", "8"], pa.array(["7", "7", "8"]).dictionary_encode()]
)
def test_parquet_ids(tmp_path: Path, ids: object) -> None:
    path = table(tmp_path, node=ids, t=[0, 30, 0], x=[1, 2, 3], y=[0, 0, 0])
    assert load(path).people == ("7", "8")


def test_parquet_row_is_named_or_skipped(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        id=["a", None, "a", "a", "a"],
        t=[0, 10, None, 20, 30],
        x=[0.0, 0, 0, np.nan, 1],
        y=[0] * 5,
    )
    with pytest.raises(TraceError, match=r"a\.parquet: row 2: "):
        load(path)
    recording = load(path, reading=ReadingRules(skip_bad=True))
    assert recording.tracks[0].time_s.tolist() == [0, 30]
    assert recording.dropped == Dropped(bad_lines=3)


def test_parquet_time_going_backwards(tmp_path: Path) -> None:
    path = table(tmp_path, t=[0, 60, 30, 90], x=[0] * 4, y=[0] * 4)
    assert load(path).dropped == Dropped(backwards=1)
    with pytest.raises(TraceError, match=r"a\.parquet: row 3: time does not go on"):
        load(path, reading=ReadingRules(backwards="refuse"))


def test_parquet_columns_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"a\.parquet: cannot be read"):
        load(table(tmp_path, t=[0], x=["here"], y=[0]))
    with pytest.raises(TraceError, match="needed: a time"):
        load(table(tmp_path, a=[0], b=[0]))


def test_what_pandas_writes_is_read_back(tmp_path: Path) -> None:
    """Random walks survive both formats to the last digit."""
    import pandas as pd

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": np.repeat(["a", "b", "c"], 50),
            "time": np.tile(np.cumsum(rng.uniform(0.1, 9, 50)), 3),
            "x": rng.normal(0, 1e4, 150),
            "y": rng.normal(0, 1e4, 150),
        }
    ).sample(frac=1, random_state=1)
    frame = frame.sort_values("time", kind="stable")
    frame.to_csv(tmp_path / "f.csv", index=False)
    frame.to_parquet(tmp_path / "f.parquet", index=False)
    for name in ("f.csv", "f.parquet"):
        recording = load(tmp_path / name)
        assert recording.dropped == Dropped()
        for track in recording.tracks:
            rows = frame[frame["id"] == track.person]
            assert track.x.tolist() == rows["x"].tolist()
            assert track.y.tolist() == rows["y"].tolist()
