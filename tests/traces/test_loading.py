"""What happens to whole files: copies, names, clocks, and the cache."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from testbed.errors import TraceError
from tests.traces.samples import crawdad, csv, geolife, gpx, iso, write
from traces import cache, loading
from traces.loading import load
from traces.recording import Dropped, ReadingRules, Recording


def test_copies_are_left_out_and_counted(tmp_path: Path) -> None:
    geolife(tmp_path)
    original = tmp_path / "Data" / "000" / "Trajectory" / "20091017120000.plt"
    for user in ("000", "002"):
        copy = tmp_path / "Data" / user / "Trajectory" / "copy.plt"
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(original, copy)
    recording = load(tmp_path)
    assert recording.people == ("000", "001")
    assert (recording.files, recording.dropped) == (4, Dropped(duplicates=2))
    kept = load(tmp_path, reading=ReadingRules(duplicates="keep"))
    assert [track.name for track in kept.tracks] == [
        "000/20091017120000",
        "000/copy",
        "001/20091017120000",
        "002/copy",
    ]


def test_recorded_tracks_start_at_0_and_simulated_ones_share_a_clock(tmp_path: Path) -> None:
    table = write(
        tmp_path / "a.csv", ("id,time,x,y\na,900,0,0\na,930,1,0\nb,960,0,0\nb,990,0,0\n",)
    )
    assert [track.time_s.tolist() for track in load(table).tracks] == [[0, 30], [0, 30]]
    scenario = write(tmp_path / "a.movements", ("10 0 0 12 2 0\n", "0 0 0 1 1 0\n"))
    assert [track.time_s.tolist() for track in load(scenario).tracks] == [[10, 11, 12], [0, 1]]


def test_names_of_several_files_are_told_apart(tmp_path: Path) -> None:
    csv(tmp_path)
    write(tmp_path / "more.csv", ("id,time,x,y\nbob,0,0,0\nbob,30,1,0\nzoe,0,0,0\n",))
    recording = load(tmp_path)
    assert [track.name for track in recording.tracks] == ["more/bob", "zoe", "ann", "walks/bob"]
    assert recording.people == ("bob", "zoe", "ann")


def test_degrees_and_metres_do_not_mix(tmp_path: Path) -> None:
    csv(tmp_path)
    write(tmp_path / "other.csv", ("time,lat,lon\n0,36,127\n30,36,127\n",))
    with pytest.raises(TraceError, match="some in metres"):
        load(tmp_path)


def test_nobody_who_moves_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", ("id,time,x,y\na,0,0,0\nb,0,0,0\n",))
    with pytest.raises(TraceError, match="two samples"):
        load(tmp_path)


def test_nothing_but_bad_files_is_an_error_even_where_they_are_skipped(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", ("id,time,x,y\na,0,zero,0\n",))
    with pytest.raises(TraceError, match="none of 1 files"):
        load(tmp_path, reading=ReadingRules(skip_bad=True))


def test_what_is_skipped_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    crawdad(tmp_path)
    load(tmp_path)
    assert not caplog.messages
    write(tmp_path / "zoe.txt", ("zero 0 0\n",))
    load(tmp_path, reading=ReadingRules(skip_bad=True))
    (message,) = caplog.messages
    assert message.endswith("skipped 1 malformed lines, and 1 files with nothing usable")


def test_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    crawdad(tmp_path)
    (tmp_path / "cut.txt").write_bytes(b"\x1f\x8b\x08\x00nothing")
    with pytest.raises(TraceError, match=r"cut\.txt: cannot be read"):
        load(tmp_path)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, which takes sets of any size."""
    folder = tmp_path / "repository" / "traces" / "data" / "cache"
    folder.parents[1].mkdir(parents=True)
    monkeypatch.setattr(cache, "FOLDER", folder)
    monkeypatch.setattr(cache, "LEAST_BYTES", 0)
    return folder


def same(one: Recording, other: Recording) -> bool:
    pairs = zip(one.tracks, other.tracks, strict=True)
    return (
        (one.source, one.format, one.files, one.dropped, one.geographic)
        == (other.source, other.format, other.files, other.dropped, other.geographic)
    ) and all(
        (a.name, a.person) == (b.name, b.person)
        and all(np.array_equal(getattr(a, axis), getattr(b, axis)) for axis in ("time_s", "x", "y"))
        for a, b in pairs
    )


@pytest.mark.parametrize("writer", [crawdad, geolife, gpx])
def test_second_load_reads_the_cache(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch, writer
) -> None:
    writer(tmp_path / "set")
    first = load(tmp_path / "set")
    assert len(list(kept.iterdir())) == 1
    monkeypatch.setattr(loading, "_combined", None)  # calling it fails
    assert same(load(tmp_path / "set"), first)
    shutil.move(tmp_path / "set", tmp_path / "renamed")
    assert load(tmp_path / "renamed").source == "renamed"


def test_changed_content_name_or_rule_is_parsed_again(tmp_path: Path, kept: Path) -> None:
    folder = tmp_path / "set"
    crawdad(folder)
    load(folder)
    file = folder / "ann.txt"
    file.write_text(file.read_text().replace("30 30 0", "30 31 0"))
    assert load(folder).tracks[0].x[1] == 31
    file.rename(folder / "amy.txt")
    assert load(folder).people == ("amy", "bob")
    load(folder, reading=ReadingRules(skip_bad=True))
    assert len(list(kept.iterdir())) == 4


@pytest.mark.parametrize("content", [b"", b"PAR1", b"nonsense" * 100])
def test_broken_entry_is_written_anew(tmp_path: Path, kept: Path, content: bytes) -> None:
    crawdad(tmp_path / "set")
    first = load(tmp_path / "set")
    (entry,) = kept.iterdir()
    whole = entry.read_bytes()
    for broken in (content, whole[:-20], whole[: len(whole) // 2]):
        entry.write_bytes(broken)
        assert same(load(tmp_path / "set"), first)
        assert entry.read_bytes() == whole


def test_entry_of_another_table_is_not_believed(tmp_path: Path, kept: Path) -> None:
    crawdad(tmp_path / "set")
    first = load(tmp_path / "set")
    (entry,) = kept.iterdir()
    from pyarrow import parquet

    table = parquet.read_table(entry)
    for wrong in (
        table.slice(1),
        table.replace_schema_metadata({}),
        table.drop_columns(["values"]),
    ):
        parquet.write_table(wrong, entry)
        assert same(load(tmp_path / "set"), first)


def test_no_cache_where_it_cannot_be_written(tmp_path: Path, kept: Path) -> None:
    kept.parent.parent.joinpath("data").write_text("a file where the folder would be")
    crawdad(tmp_path / "set")
    assert len(load(tmp_path / "set").tracks) == 2


def test_small_sets_are_not_kept(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LEAST_BYTES", 10_000)
    crawdad(tmp_path / "set")
    load(tmp_path / "set")
    assert not kept.exists()


def test_oldest_entries_make_room(
    tmp_path: Path, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        file = write(tmp_path / f"{number}.csv", ("time,x,y\n", f"0,0,{number}\n", "30,0,0\n"))
        load(file)
    entries = sorted(kept.iterdir(), key=lambda entry: entry.stat().st_mtime_ns)
    monkeypatch.setattr(cache, "MAX_BYTES", int(2.5 * entries[0].stat().st_size))
    load(write(tmp_path / "new.csv", ("time,x,y\n", f"{iso(0)},0,0\n", f"{iso(30)},0,0\n")))
    left = set(kept.iterdir())
    assert len(left) == 2
    assert not left & set(entries[:2])


def test_flipped_bit_of_an_entry_is_not_believed(tmp_path: Path, kept: Path) -> None:
    crawdad(tmp_path / "set")
    first = load(tmp_path / "set")
    (entry,) = kept.iterdir()
    whole = entry.read_bytes()
    for place in range(4, len(whole) - 8, 7):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        entry.write_bytes(broken)
        assert same(load(tmp_path / "set"), first)


def test_files_of_one_stem_are_several_people(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    for number in range(2):
        write(folder / f"walker.00{number}", (f"{t} {t} {number}\n" for t in (0, 30)))
        text = "".join(f"{t} {t} {number + 5}\n" for t in (0, 30))
        packed = gzip.compress(text.encode()) if number else text.encode()
        (folder / f"a.txt{number * '.gz'}").write_bytes(packed)
    write(folder / "b" / "c.txt", ("0 1 2\n", "30 1 2\n"))
    assert load(folder, "crawdad").people == (
        "a.txt",
        "a.txt.gz",
        "b/c",
        "walker.000",
        "walker.001",
    )


@pytest.mark.parametrize("name", ["a" * 5000, "nul\0"])
def test_impossible_path_is_an_error_of_one_short_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(TraceError, match="no such folder or file") as caught:
        load(tmp_path / name)
    assert len(str(caught.value)) < 400


def test_folder_that_cannot_be_looked_into_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crawdad(tmp_path / "set")
    crawdad(tmp_path / "set" / "locked")
    scandir = os.scandir

    def refusing(folder: str) -> object:
        if os.fspath(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(TraceError, match=r"set/locked: cannot be read: Permission denied"):
        load(tmp_path / "set")


def test_names_that_are_no_text_are_printable(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/set\xff"))
    crawdad(folder)
    (folder / "ann.txt").rename(Path(os.fsdecode(os.fsencode(folder) + b"/ann\xfe.txt")))
    recording = load(folder)
    assert recording.source == "set\\xff"
    assert recording.people == ("ann\\xfe", "bob")


def test_time_that_cannot_be_counted_is_refused(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", ("time,x,y\n-1e308,0,0\n1e308,0,0\n",))
    with pytest.raises(TraceError, match=r"a\.csv: 'a' goes from -1e\+308 s to 1e\+308 s"):
        load(table)


def test_positions_on_both_sides_of_180_degrees_are_near_each_other(tmp_path: Path) -> None:
    table = write(tmp_path / "a.csv", ("time,lat,lon\n0,0,179.99\n30,0,-179.99\n",))
    assert load(table).tracks[0].x.tolist() == pytest.approx([179.99, 180.01])
