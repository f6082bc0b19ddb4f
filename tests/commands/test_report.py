"""`testbed report` rebuilds what came of a run, also of one that was killed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.runs.folder import RunFolder
from testbed.runs.records import RecordWriter, read_table
from tests.analysis.crafted_captures import ORIGIN_UNIX_S, backhaul_capture
from tests.analysis.fake_run import make_run


@pytest.fixture
def killed(tmp_path: Path) -> RunFolder:
    """A run folder as `kill -9` leaves it: rows that were not collected, and a raw capture."""
    done = make_run(tmp_path / "done", clients=2)
    folder = RunFolder.at(tmp_path / "killed")
    for document in ("config", "schedule"):
        shutil.copy(done.path / f"{document}.json", folder.path)
    folder.write_json(
        "manifest", {"status": "interrupted", "tdf": 1, "origin_unix_s": ORIGIN_UNIX_S}
    )
    with RecordWriter(folder.path, "c1") as writer:
        row = read_table(done.path, "queries").iloc[0].to_dict()
        nulls = {"edge": None, "verified": None, "computed": None}
        kept = {key: value for key, value in row.items() if key not in nulls}
        writer.append("queries", **kept, **nulls)
    with (folder.path / "records" / "queries.c1.jsonl").open("a") as file:
        file.write('{"client": "c1", "que')
    folder.pcap.mkdir()
    raw = folder.pcap / "raw"
    raw.mkdir()
    backhaul_capture(raw / "0.pcap")
    (raw / "interfaces.json").write_text('{"0.pcap": {"5": "ap1", "6": "ap2"}}')
    return folder


def test_the_report_of_a_killed_run_is_rebuilt(testbed: Any, killed: RunFolder) -> None:
    summary = testbed("report", str(killed.path), "--json").json
    assert summary["queries"] == 1
    assert summary["fidelity"] == "degraded"
    assert "cut off" in killed.read_json("fidelity")["reasons"][-1]
    assert killed.read_json("manifest")["status"] == "interrupted"
    assert len(read_table(killed.path, "backhaul"))
    assert [path.name for path in killed.pcap.iterdir()] == ["backhaul.pcapng"]
    assert killed.report.exists()
    assert any(killed.figures.glob("*.png"))


def test_rebuilding_twice_gives_the_same(testbed: Any, killed: RunFolder) -> None:
    first = testbed("report", str(killed.path), "--json").json
    assert testbed("report", str(killed.path), "--json").json == first


def test_the_report_warns_of_a_damaged_capture(
    testbed: Any, killed: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "warning" not in testbed("report", str(killed.path)).err
    capture = killed.pcap / "backhaul.pcapng"
    whole = capture.read_bytes()
    capture.write_bytes(whole[:-5])
    ended = testbed("report", str(killed.path))
    assert ended.status == 0
    assert f"warning: {capture}: damaged or cut short" in ended.err
    fidelity = killed.read_json("fidelity")
    assert fidelity["verdict"] == "degraded"
    assert sum("damaged or cut short" in reason for reason in fidelity["reasons"]) == 1
    monkeypatch.chdir(killed.path.parent)  # another spelling of the path is no other reason
    assert testbed("report", killed.path.name).status == 0
    assert killed.read_json("fidelity") == fidelity
    assert "<li>pcap/backhaul.pcapng: damaged" in killed.report.read_text(encoding="utf-8")
    capture.write_bytes(whole)
    assert testbed("report", killed.path.name).status == 0
    assert not any("damaged" in reason for reason in killed.read_json("fidelity")["reasons"])


@pytest.mark.parametrize("name", ["report.html", "figures", "summary.json", "transfers.parquet"])
def test_what_stands_in_the_reports_way_is_named(
    testbed: Any, killed: RunFolder, name: str
) -> None:
    if name == "figures":
        (killed.path / name).touch()
    else:
        (killed.path / name).mkdir()
    ended = testbed("report", str(killed.path))
    assert ended.status in (1, 2)
    assert name in ended.err.splitlines()[-1]


def test_a_fidelity_without_verdict_is_refused(testbed: Any, killed: RunFolder) -> None:
    killed.write_json("fidelity", {})
    ended = testbed("report", str(killed.path))
    assert ended.status == 1 and "holds no verdict" in ended.err


def test_what_the_processes_knew_of_fidelity_is_kept(testbed: Any, killed: RunFolder) -> None:
    killed.write_json("fidelity", {"verdict": "invalid", "reasons": ["too late"]})
    assert testbed("report", str(killed.path), "--json").json["fidelity"] == "invalid"


def test_a_run_that_never_began_has_no_report(testbed: Any, killed: RunFolder) -> None:
    killed.write_json("manifest", {"status": "interrupted", "tdf": 1})
    ended = testbed("report", str(killed.path))
    assert (ended.status, ended.out) == (1, "")
    assert "before its clock started" in ended.err


def test_a_run_that_goes_on_is_left_alone(testbed: Any, killed: RunFolder) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", "input()", "testbed.emulation", str(killed.path)],
        stdin=subprocess.PIPE,
    )
    try:
        ended = testbed("report", str(killed.path))
    finally:
        process.kill()
        process.wait()
    assert (ended.status, ended.out) == (2, "")
    assert "goes on" in ended.err
    assert (killed.path / "records").is_dir()


def test_a_report_needs_the_folder_of_a_run(testbed: Any, tmp_path: Path) -> None:
    assert testbed("report", str(tmp_path)).status == 2
