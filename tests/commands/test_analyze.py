"""`testbed analyze` reads captures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.analysis.captures.wireshark import DISSECTOR
from tests.analysis.crafted_captures import backhaul_capture
from tests.analysis.fake_run import make_run


def test_captures_are_analysed(testbed: Any, tmp_path: Path) -> None:
    file = backhaul_capture(tmp_path / "bare.pcap")
    content = testbed("analyze", str(file), "--interval", "1min", "--json").json
    assert content["interval_s"] == 60
    assert content["totals"]["packets"] > 0
    ended = testbed("analyze", str(file))
    assert ended.status == 0
    flow = next(line for line in ended.out.splitlines() if ":7003" in line)
    assert flow.count("10.0.0.") == 2  # in no terminal a row is one line, however long


def test_what_was_analysed_is_written_as_tables(testbed: Any, tmp_path: Path) -> None:
    file = backhaul_capture(tmp_path / "bare.pcap")
    out = tmp_path / "new" / "tables"
    assert testbed("analyze", str(file), "--out", str(out)).status == 0
    for table in ("backhaul", "flows", "servers"):
        written = pd.read_parquet(out / f"{table}.parquet")
        assert len(written) > 0
        assert list(pd.read_csv(out / f"{table}.csv").columns) == list(written.columns)
    assert json.loads((out / "analysis.json").read_text())["totals"]["packets"] == 8
    only = tmp_path / "csv"
    assert testbed("analyze", str(file), "--out", str(only), "--format", "csv").status == 0
    assert {path.suffix for path in only.iterdir()} == {".csv"}


def test_the_rest_of_a_damaged_capture_is_analysed(testbed: Any, tmp_path: Path) -> None:
    file = backhaul_capture(tmp_path / "cut.pcap")
    file.write_bytes(file.read_bytes()[:-5])
    ended = testbed("analyze", str(file))
    assert ended.status == 0
    assert "7 packets" in ended.out
    assert f"warning: {file}: damaged or cut short" in ended.err


def test_the_dissector_is_installed_for_the_user(
    testbed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert testbed("analyze", "--install-dissector").status == 0
    installed = tmp_path / ".local" / "lib" / "wireshark" / "plugins" / "perdnn.lua"
    assert installed.read_bytes() == DISSECTOR.read_bytes()
    assert testbed("analyze", "--install-dissector").status == 0  # a new version, say
    installed.write_text("-- of the user's own")
    ended = testbed("analyze", "--install-dissector")
    assert ended.status == 2 and "is another plugin" in ended.err
    assert installed.read_text() == "-- of the user's own"


def test_analyze_refuses(testbed: Any, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pcap"
    empty.touch()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    whole = str(backhaul_capture(tmp_path / "whole.pcap"))
    for arguments in (
        ["nowhere"],
        [str(tmp_path)],
        [__file__],
        [str(tmp_path), __file__],
        [__file__, "--interval", "0"],
        [whole, "--interval", "1e-300"],
        [whole, "--interval", "1e400"],
        [whole, "--out", str(make_run(tmp_path / "run", clients=1).path)],
        [whole, "--format", "csv"],
        [whole, "--out", ""],
        [""],
        ["a" * 5000],
        [],
        [__file__, "--format", "xlsx"],
        [str(empty)],
        [str(pipe)],
        [whole, whole],
    ):
        ended = testbed("analyze", *arguments)
        assert (ended.status, ended.out) == (2, ""), arguments
