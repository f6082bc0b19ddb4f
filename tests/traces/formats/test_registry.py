"""Every format: found out by its content, loaded alike, and refused alike when it is broken."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from testbed.errors import TraceError
from tests.traces.samples import STEPS_S, WRITERS, crawdad, csv, gpx, write
from traces.formats.registry import FORMATS
from traces.loading import load
from traces.prepare import Preparation, prepare
from traces.recording import ReadingRules, Recording
from traces.trace import TraceSet

STEP_S = 30.0


def loaded(folder: Path, trace_format: str = "auto") -> Recording:
    return load(folder, trace_format, ReadingRules(sample_s=STEP_S))


def in_metres(recording: Recording) -> TraceSet:
    return prepare(recording, Preparation(window=None, interval_s=STEP_S))


@pytest.fixture(params=WRITERS)
def trace_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path, trace_format: str) -> Path:
    folder = tmp_path / "walks"
    folder.mkdir()
    WRITERS[trace_format](folder)
    return folder


def test_every_format_has_a_sample() -> None:
    assert set(WRITERS) == set(FORMATS)


def test_format_is_found_out(folder: Path, trace_format: str) -> None:
    recording = loaded(folder)
    assert recording.format == trace_format
    assert recording.source == "walks"
    assert len(recording.people) == len(recording.tracks) == 2
    assert len({track.name for track in recording.tracks}) == 2


def test_forced_format_gives_the_same(folder: Path, trace_format: str) -> None:
    for found, forced in zip(
        loaded(folder).tracks, loaded(folder, trace_format).tracks, strict=True
    ):
        assert (found.name, found.person) == (forced.name, forced.person)
        assert np.array_equal(found.x, forced.x)


def test_two_people_walk_east_at_1_m_a_second(folder: Path) -> None:
    traces = in_metres(loaded(folder)).traces
    for trace in traces:
        assert trace.time_s.tolist() == list(STEPS_S)
        assert np.diff(trace.x_m) == pytest.approx(30, rel=0.005)
        assert np.ptp(trace.y_m) < 0.01
    assert traces[1].y_m[0] - traces[0].y_m[0] == pytest.approx(5, abs=6.2)


def test_single_file_is_loaded_whatever_its_name(folder: Path, trace_format: str) -> None:
    file = next(
        path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "labels.txt"
    )
    other = file.with_name("other.name")
    file.rename(other)
    assert loaded(other).format == trace_format
    packed = file.with_name("packed.gz")
    packed.write_bytes(gzip.compress(other.read_bytes()))
    if trace_format != "parquet":  # which has a compression of its own
        assert loaded(packed).format == trace_format
        assert len(loaded(packed).tracks) == len(loaded(other).tracks)


def test_every_format_is_refused_where_another_is_forced(folder: Path, trace_format: str) -> None:
    for other in sorted(set(FORMATS) - {trace_format}):
        with pytest.raises(TraceError):
            loaded(folder, other)


def test_random_bytes_are_never_more_than_a_trace_error(tmp_path: Path, trace_format: str) -> None:
    """Whatever is in a file: it is read, or refused with the file's name."""
    rng = np.random.default_rng(0)
    WRITERS[trace_format](tmp_path)
    file = max(
        (each for each in tmp_path.rglob("*") if each.is_file()), key=lambda f: f.stat().st_size
    )
    sound = file.read_bytes()
    for attempt in range(60):
        broken = bytearray(sound)
        match attempt % 3:
            case 0:  # some bytes are others
                for place in rng.integers(len(broken), size=1 + attempt // 6):
                    broken[place] = rng.integers(256)
            case 1:  # the end is missing
                broken = broken[: rng.integers(len(broken))]
            case 2:  # bytes of no format follow
                broken[rng.integers(len(broken)) :] = rng.bytes(200)
        file.write_bytes(bytes(broken))
        for forced in ("auto", trace_format):
            for skip_bad in (False, True):
                try:
                    load(file, forced, ReadingRules(skip_bad=skip_bad, sample_s=STEP_S))
                except TraceError as error:
                    assert file.name in str(error)


@pytest.mark.parametrize("forced", sorted(FORMATS))
def test_noise_of_any_kind_is_refused(tmp_path: Path, forced: str) -> None:
    rng = np.random.default_rng(1)
    for size in (0, 1, 10, 1000, 70_000):
        noise = tmp_path / "noise"
        noise.write_bytes(rng.bytes(size))
        for name in ("auto", forced):
            with pytest.raises(TraceError, match="noise"):
                load(noise, name, ReadingRules(skip_bad=True))


def test_nothing_recognised_says_what_was_looked_for(tmp_path: Path) -> None:
    write(tmp_path / "shopping.md", ("milk\n", "bread\n"))
    with pytest.raises(TraceError) as caught:
        load(tmp_path)
    assert "shopping.md" in str(caught.value)
    assert all(name in str(caught.value) for name in FORMATS)


def test_several_formats_need_a_choice(tmp_path: Path) -> None:
    crawdad(tmp_path)
    gpx(tmp_path)
    with pytest.raises(
        TraceError, match=r"several formats \(crawdad: ann\.txt, bob\.txt; gpx: .*--trace-format"
    ):
        load(tmp_path)
    assert load(tmp_path, "gpx").format == "gpx"
    assert load(tmp_path, "crawdad").files == 2


def test_unknown_format_gets_a_suggestion(tmp_path: Path) -> None:
    csv(tmp_path)
    with pytest.raises(TraceError, match="did you mean 'geolife'"):
        load(tmp_path, "geolive")


def test_missing_and_empty_places_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such folder or file"):
        load(tmp_path / "nowhere")
    with pytest.raises(TraceError, match="no trace files"):
        load(tmp_path)


def test_malformed_beginning_is_named_where_other_files_tell_the_format(tmp_path: Path) -> None:
    crawdad(tmp_path)
    write(tmp_path / "zoe.txt", ("zero 0 0\n",))
    with pytest.raises(TraceError, match=r"zoe\.txt:1: .*'zero'"):
        load(tmp_path)


def test_table_that_lacks_columns_says_which(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", ("id,when,x,y\n", "a,0,1,2\n"))
    with pytest.raises(TraceError, match=r"a\.csv:1: found columns id, when, x, y: not all"):
        load(table)
    numbers = write(tmp_path / "b.csv", ("a,0,1,2\n",))
    with pytest.raises(TraceError, match=r"b\.csv: no traces found"):
        load(numbers)


def test_first_line_is_shown_in_part(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", ("time,x," + "long" * 1000 + "\n", "0,1,2\n"))
    with pytest.raises(TraceError) as caught:
        load(table)
    assert len(str(caught.value)) < 500 + len(str(tmp_path))


@pytest.mark.parametrize("name", ["auto", *sorted(FORMATS)])
def test_empty_file_is_called_empty(tmp_path: Path, name: str) -> None:
    with pytest.raises(TraceError, match=r"a\.csv: empty"):
        load(write(tmp_path / "a.csv", ()), name)


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("crawdad", "0 0 0\n"),
        ("csv", "time,x,y\n"),
        ("ns2", "$node_(0) set X_ 0\n"),
        ("bonnmotion", "0 0 0 1 1 1\n"),
    ],
)
def test_line_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, beginning: str
) -> None:
    monkeypatch.setattr("traces.formats.bonnmotion._LONGEST_LINE", 1_000_000)
    packed = tmp_path / "a.gz"
    packed.write_bytes(gzip.compress((beginning + "1 " * 1_000_000).encode()))
    with pytest.raises(TraceError, match=r"a\.gz:2: the line has more than 1000000 characters"):
        load(packed, name)
