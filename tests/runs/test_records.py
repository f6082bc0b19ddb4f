"""Writing rows as they happen and reading them back as tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from testbed.errors import TestbedError
from testbed.runs.records import (
    RecordWriter,
    collect,
    has_table,
    read_table,
    read_tables,
    write_table,
)
from testbed.runs.tables import TABLES

HANDOVER = {
    "client": "client0",
    "from_ap": None,
    "to_ap": "ap1",
    "trace_s": 0,
    "moved_s": 0.1,
    "routed_s": 0.2,
    "first_byte_s": None,
    "present_bytes": 0,
    "wanted_bytes": 10**10,
    "hit": False,
}


def test_rows_of_all_processes_become_one_table_with_the_declared_types(tmp_path):
    for process in ("client0", "client1"):
        with RecordWriter(tmp_path, process) as writer:
            writer.append("handovers", **{**HANDOVER, "client": process})
    collect(tmp_path)
    table = read_table(tmp_path, "handovers")
    assert table["client"].tolist() == ["client0", "client1"]
    assert table["from_ap"].isna().all()
    assert table["first_byte_s"].isna().all()
    assert table["wanted_bytes"].tolist() == [10**10] * 2
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_table_has_its_columns_and_types(tmp_path, table):
    collect(tmp_path)
    frame = read_table(tmp_path, table)
    assert list(frame.columns) == [column.name for column in TABLES[table]]
    assert [str(dtype) for dtype in frame.dtypes] == [column.dtype for column in TABLES[table]]


def test_what_only_captures_have_is_no_empty_table(tmp_path):
    with RecordWriter(tmp_path, "experiment") as writer:
        writer.append("flow_counters", switch="s1", address="10.0.0.1", packets=1, bytes=2)
    collect(tmp_path)
    assert read_table(tmp_path, "flow_counters")["bytes"].tolist() == [2]
    assert not has_table(tmp_path, "counters")


def test_a_torn_last_line_is_left_out(tmp_path):
    with RecordWriter(tmp_path, "master") as writer:
        writer.append("handovers", **HANDOVER)
    with (tmp_path / "records" / "handovers.master.jsonl").open("a") as file:
        file.write('{"client": "cli')
    collect(tmp_path)
    assert len(read_table(tmp_path, "handovers")) == 1


def test_a_row_is_on_disk_before_the_writer_closes(tmp_path):
    writer = RecordWriter(tmp_path, "master")
    writer.append("handovers", **HANDOVER)
    assert (tmp_path / "records" / "handovers.master.jsonl").read_text().endswith("}\n")
    writer.close()


def test_a_damaged_line_is_named(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "queries.client0.jsonl").write_text("nonsense\n")
    with pytest.raises(TestbedError, match=r"queries\.client0\.jsonl:1"):
        collect(tmp_path)


def test_collecting_twice_keeps_the_tables(tmp_path):
    with RecordWriter(tmp_path, "master") as writer:
        writer.append("handovers", **HANDOVER)
    collect(tmp_path)
    collect(tmp_path)
    assert len(read_tables(tmp_path)["handovers"]) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hit": None}, "handovers.hit"),
        ({"hit": 1}, "handovers.hit"),
        ({"present_bytes": 1.5}, "handovers.present_bytes"),
        ({"present_bytes": True}, "handovers.present_bytes"),
        ({"moved_s": float("nan")}, "not finite"),
        ({"colour": "red"}, "unknown: colour"),
    ],
)
def test_a_row_that_does_not_fit_its_table_is_refused(tmp_path, change, message):
    with RecordWriter(tmp_path, "master") as writer, pytest.raises(TypeError, match=message):
        writer.append("handovers", **{**HANDOVER, **change})


def test_a_nullable_flag_keeps_its_three_values(tmp_path):
    query = {column.name: 0 for column in TABLES["queries"]}
    query |= {"client": "c", "edge": None, "cold_start": True, "outcome": "local"}
    with RecordWriter(tmp_path, "c") as writer:
        for number, verified in ((1, False), (2, None), (0, True)):  # as they were compared
            row = {**query, "query": number, "compute": "memo", "verified": verified}
            row["computed"] = None
            writer.append("queries", **row)
    collect(tmp_path)
    verified = read_table(tmp_path, "queries")["verified"]
    assert verified.tolist() == [True, False, pd.NA]


def test_a_folder_without_tables_is_an_error(tmp_path):
    with pytest.raises(TestbedError, match="folder of a finished run"):
        read_table(tmp_path, "queries")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("present_bytes", None),
        ("present_bytes", "many"),
        ("present_bytes", -1),
        ("trace_s", float("inf")),
        ("hit", 7),
        ("client", 3),
    ],
)
def test_a_table_with_values_that_cannot_be_is_refused(tmp_path, column, value):
    with RecordWriter(tmp_path, "client0") as writer:
        writer.append("handovers", **HANDOVER)
    collect(tmp_path)
    path = tmp_path / "handovers.parquet"
    pd.read_parquet(path).assign(**{column: [value]}).to_parquet(path)
    with pytest.raises(TestbedError, match=f"handovers.parquet: {column} holds values"):
        read_table(tmp_path, "handovers")


def test_a_table_whose_writing_fails_is_the_one_before(tmp_path, monkeypatch):
    with RecordWriter(tmp_path, "client0") as writer:
        writer.append("handovers", **HANDOVER)
    collect(tmp_path)
    before = read_table(tmp_path, "handovers")

    def fail(self, path, **options):
        Path(path).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    with pytest.raises(OSError, match="No space"):
        write_table(tmp_path, "handovers", before)
    monkeypatch.undo()
    pd.testing.assert_frame_equal(read_table(tmp_path, "handovers"), before)
    assert [path.name for path in tmp_path.glob("handovers*")] == ["handovers.parquet"]
