"""The `testbed` command: what its commands print, and how they end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed import cli, experiment
from testbed.analysis.crowding import crowded_servers
from testbed.analysis.wireshark import DISSECTOR
from testbed.config import Experiment, to_dict
from testbed.emulation import cleanup, doctor
from testbed.emulation.doctor import Finding
from testbed.records import RecordWriter, read_table
from testbed.runfolder import RunFolder
from tests.analysis.captures import ORIGIN_UNIX_S, backhaul_capture
from tests.analysis.fake_run import make_run
from tests.traces.samples import geolife

DIAMOND = {
    "input_bytes": 1000,
    "layers": [
        {
            "name": name,
            "inputs": inputs,
            "client_s": 1.0,
            "server_s": 0.01,
            "weight_bytes": 1000,
            "output_bytes": 1000,
        }
        for name, inputs in (("a", []), ("b", ["a"]), ("c", ["a"]), ("d", ["b", "c"]))
    ],
}


class Ended:
    """How a command ended: exit status and what it printed."""

    def __init__(self, status: object, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def testbed(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        printed = capsys.readouterr()
        return Ended(ended.value.code, printed.out, printed.err)

    return call


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Ten people who walk 20 m a step along x."""
    folder = tmp_path / "walkers"
    folder.mkdir()
    for person in range(10):
        lines = [f"{30 * step} {-900 + 20 * step} {10 * person}" for step in range(60)]
        (folder / f"walker_{person}.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_an_unknown_command_ends_with_2_and_the_list(testbed: Any) -> None:
    ended = testbed("swep")
    assert (ended.status, ended.out) == (2, "")
    assert all(name in ended.err for name in cli.COMMANDS)


def test_no_command_ends_with_2(testbed: Any) -> None:
    assert testbed().status == 2


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)])
def test_every_command_has_help(testbed: Any, command: list[str]) -> None:
    ended = testbed(*command, "--help")
    assert (ended.status, ended.err) == (0, "")
    assert "usage: testbed" in ended.out


@pytest.mark.parametrize(
    ("findings", "status"),
    [
        ([Finding("root", "found", "runs as root")], 0),
        ([Finding("NVML", "fallback", "no GPU")], 0),
        ([Finding("root", "missing", "not root", "sudo")], 3),
    ],
)
def test_doctor_ends_with_3_when_something_is_missing(
    testbed: Any, monkeypatch: pytest.MonkeyPatch, findings: list[Finding], status: int
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: findings)
    assert testbed("doctor").status == status
    ended = testbed("doctor", "--json")
    assert ended.status == status
    assert ended.json["findings"][0]["state"] == findings[0].state


def test_clean_needs_root(testbed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup.os, "geteuid", lambda: 1000)
    ended = testbed("clean", "--json")
    assert (ended.status, ended.out) == (3, "")
    assert "sudo" in ended.err


def test_clean_prints_what_it_removed(testbed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned = cleanup.Cleaned((12,), (Path("/run/x/1-a"),), (Path("/run/x/2-b"),))
    monkeypatch.setattr(cleanup, "clean", lambda: cleaned)
    assert testbed("clean", "--json").json == {
        "sandboxes": [12],
        "folders": ["/run/x/1-a"],
        "kept": ["/run/x/2-b"],
    }
    assert "/run/x/1-a" in testbed("clean").out


def test_plan_of_a_graph_file(testbed: Any, tmp_path: Path) -> None:
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(DIAMOND))
    arguments = ("plan", "--graph", str(file), "--down", "8kbit/s", "--up", "8kbit/s")
    plan = testbed(*arguments, "--json").json
    # 1,000 bytes there and back at 8 kbit/s take 2 s; the four layers 0.04 s at the server
    assert plan["latency_s"] == pytest.approx(2.04)
    assert plan["local_latency_s"] == pytest.approx(4.0)
    assert plan["location"] == dict.fromkeys("abcd", "server")
    assert plan["upload_bytes"] == 4000
    assert sorted(layer for run in plan["upload"] for layer in run) == list("abcd")
    assert "2,040.0 ms" in testbed(*arguments).out


def test_plan_of_a_model(testbed: Any) -> None:
    plan = testbed("plan", "--model", "mobilenet", "--json").json
    assert 0 < plan["latency_s"] < plan["local_latency_s"]
    assert plan["upload_bytes"] > 10e6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "mobilnet"], "did you mean 'mobilenet'"),
        (["--model", "mobilenet", "--client", "phone"], "phone"),
        (["--model", "mobilenet", "--down", "fast"], "'fast' is not a rate"),
        (["--model", "mobilenet", "--down", "0"], "above 0"),
        (["--model", "mobilenet", "--input-shape", "1x3"], "mobilenet"),
        (["--model", "mobilenet", "--input-shape", "1xA"], "--input-shape 1xA"),
        (["--graph", "nowhere.json"], "nowhere.json"),
        (["--graph", __file__], "is no JSON"),
        (["--graph", "x.json", "--model", "mobilenet"], "not allowed with"),
        ([], "--model --graph is required"),
    ],
)
def test_plan_refuses(testbed: Any, arguments: list[str], said: str) -> None:
    ended = testbed("plan", *arguments)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err


def test_predict_measures_on_a_seeded_split(testbed: Any, traces: Path) -> None:
    arguments = ("predict", "--traces", str(traces), "--test-people", "4")
    figures = testbed(*arguments, "--predictor", "svr", "--json").json
    # 60 positions give 55 windows of 5 with a successor
    assert (figures["n_train"], figures["n_test"]) == (6 * 55, 4 * 55)
    assert figures["top1"] > 0.9  # all walk straight on
    assert figures["mae_m"] < 1
    assert testbed(*arguments, "--predictor", "stay", "--json").json["top1"] == 0
    assert testbed(*arguments, "--json").json == figures
    assert "top 1" in testbed(*arguments).out


@pytest.mark.parametrize("predictor", ["markov", "velocity", "ridge", "visits"])
def test_predict_measures_every_kind_of_predictor(
    testbed: Any, traces: Path, monkeypatch: pytest.MonkeyPatch, predictor: str
) -> None:
    monkeypatch.setattr("testbed.mobility.visits._EPOCHS", 1)
    arguments = ("predict", "--traces", str(traces), "--test-people", "4", "--json")
    figures = testbed(*arguments, "--predictor", predictor).json
    assert (figures["n_train"], figures["n_test"]) == (6 * 55, 4 * 55)
    assert figures["top1"] <= figures["top2"] <= 1


def test_predict_takes_a_predictor_of_ones_own(testbed: Any, traces: Path) -> None:
    arguments = ("predict", "--traces", str(traces), "--test-people", "4", "--json")
    own = testbed(*arguments, "--predictor", "testbed.mobility.positions:ConstantVelocity").json
    assert own == testbed(*arguments, "--predictor", "velocity").json
    assert own["mae_m"] == pytest.approx(0, abs=1e-6)
    refused = testbed(*arguments, "--predictor", "testbed.mobility.positions:PositionPredictor")
    assert (refused.status, refused.out) == (2, "")
    assert "abstract" in refused.err


def test_a_share_of_nothing_is_null(testbed: Any, tmp_path: Path) -> None:
    for person in range(3):
        lines = [f"{30 * step} 0 {person}" for step in range(20)]
        (tmp_path / f"sitter_{person}.txt").write_text("\n".join(lines))
    figures = testbed("predict", "--traces", str(tmp_path), "--test-people", "1", "--json").json
    assert figures["top1"] is None
    assert figures["non_futile_share"] == 0


def test_predict_refuses_an_unknown_predictor(testbed: Any, traces: Path) -> None:
    ended = testbed("predict", "--traces", str(traces), "--predictor", "oracle")
    assert (ended.status, ended.out) == (2, "")
    assert "unknown predictor 'oracle'" in ended.err


def test_traces_are_described(testbed: Any, traces: Path) -> None:
    content = testbed("traces", "describe", str(traces), "--json").json
    assert content["recorded"]["people"] == 10
    assert content["recorded"]["points"] == 600
    assert content["recorded"]["width_m"] == 59 * 20
    assert content["recorded"]["mean_speed_m_s"] == pytest.approx(20 / 30)
    assert content["cells"] == pytest.approx(2 * 1180 / 86.6, rel=0.3)  # one or two rows of cells
    # A cell is 87 m wide, a step 20 m
    assert content["cell_change_share"] == pytest.approx(20 / 86.6, abs=0.05)
    assert "600" in testbed("traces", "describe", str(traces)).out


def test_the_described_window_may_be_chosen(testbed: Any, traces: Path) -> None:
    content = testbed(
        *("traces", "describe", str(traces), "--window", "[-900,0,-700,45]", "--json")
    ).json
    assert content["window"]["people"] == 5
    assert content["window"]["points"] == 5 * 11


def test_what_was_left_out_of_traces_is_described(testbed: Any, traces: Path) -> None:
    shutil.copy(traces / "walker_1.txt", traces / "walker_99.txt")
    (traces / "walker_0.txt").write_text("0 0 0\nzero\n30 20 0\n30 20 0\n")
    ended = testbed("traces", "describe", str(traces))
    assert (ended.status, ended.out) == (2, "")
    assert "walker_0.txt:2: " in ended.err
    content = testbed("traces", "describe", str(traces), "--skip-bad", "--json").json
    assert content["format"] == "crawdad"
    assert {name: content[name] for name in ("files", "duplicates", "bad_lines", "backwards")} == {
        "files": 11,
        "duplicates": 1,
        "bad_lines": 1,
        "backwards": 1,
    }
    assert "malformed lines skipped" in testbed("traces", "describe", str(traces), "--skip-bad").out
    kept = testbed(
        *("traces", "describe", str(traces), "--skip-bad", "--duplicates", "keep", "--json")
    ).json
    assert kept["recorded"]["people"] == 11


def test_geographic_traces_are_described_in_metres(testbed: Any, tmp_path: Path) -> None:
    geolife(tmp_path)
    window = ("--window-deg", "[36,127,37,128]")
    content = testbed("traces", "describe", str(tmp_path), *window, "--json").json
    assert (content["source"], content["format"]) == (tmp_path.name, "geolife")
    for part in ("recorded", "window"):
        figures = content[part]
        assert (figures["people"], figures["points"]) == (2, 10)
        assert figures["width_m"] == pytest.approx(120, rel=0.01)
        assert figures["height_m"] == pytest.approx(11.1, abs=0.3)
        assert figures["mean_speed_m_s"] == pytest.approx(1, rel=0.01)


def test_trace_format_may_be_forced(testbed: Any, traces: Path) -> None:
    ended = testbed("traces", "describe", str(traces), "--trace-format", "gpx")
    assert (ended.status, ended.out) == (2, "")
    ended = testbed("traces", "describe", str(traces), "--trace-format", "shapefile")
    assert ended.status == 2
    assert "traces.format" in ended.err


def test_a_topology_is_printed(testbed: Any) -> None:
    content = testbed("topo", "tree", "--access-points", "3", "--json").json
    assert content["hosts"] == ["ap1", "ap2", "ap3", "master"]
    assert {"a": "ap1", "b": "s2", "rate_bps": 1e9} in content["links"]
    assert "1.0 Gbit/s" in testbed("topo", "ring").out


@pytest.mark.parametrize("arguments", [["bush"], ["tree", "--access-points", "0"], ["no.py:x"]])
def test_topo_refuses(testbed: Any, arguments: list[str]) -> None:
    ended = testbed("topo", *arguments)
    assert (ended.status, ended.out) == (2, "")


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


@pytest.mark.parametrize("arguments", [["analyze", "bare.pcap"], ["doctor"]])
def test_a_reader_that_left_ends_a_command_quietly(tmp_path: Path, arguments: list[str]) -> None:
    backhaul_capture(tmp_path / "bare.pcap")
    read, written = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "testbed.cli", *arguments]
        ended = subprocess.run(
            command,
            stdout=written,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
    finally:
        os.close(written)
    assert (ended.returncode, ended.stderr) == (141, b"")


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
        nulls = {"edge": None, "verified": None}
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


def test_crowded_servers_are_those_with_the_highest_peak_uplinks(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    crowded = crowded_servers(folder)
    backhaul = read_table(folder.path, "backhaul")
    uplink = backhaul[backhaul["direction"] == "uplink"]
    peak = uplink.groupby(["server", "interval"])["mbps"].sum().groupby("server").max()
    assert len(crowded) == 2  # 7 % of 42
    assert crowded == list(peak.sort_values(ascending=False).index[:2])


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Experiment, Path | None]]:
    """Experiments that would have been run."""
    runs: list[tuple[Experiment, Path | None]] = []

    def run(chosen: Experiment, out: Path | None, *, cli: bool) -> int:
        assert not cli
        runs.append((chosen, out))
        return 0

    monkeypatch.setattr(experiment, "run", run)
    return runs


def test_an_earlier_run_is_run_again(
    testbed: Any, tmp_path: Path, started: list[tuple[Experiment, Path | None]]
) -> None:
    earlier = Experiment(name="earlier", seed=7)
    RunFolder(tmp_path).write_json("config", to_dict(earlier))
    assert testbed("run", str(tmp_path / "config.json")).status == 0
    assert testbed("run", str(tmp_path), "--out", "again").status == 0
    assert started == [(earlier, None), (earlier, Path("again"))]


def test_a_config_by_hand_may_be_short_and_be_overridden(
    testbed: Any, tmp_path: Path, started: list[tuple[Experiment, Path | None]]
) -> None:
    (tmp_path / "mine.json").write_text('{"replay": {"clients": 2}}')
    testbed("run", str(tmp_path / "mine.json"), "--radius", "100", "--set", "seed=3")
    chosen = started[0][0]
    assert (chosen.name, chosen.replay.clients, chosen.seed) == ("mine", 2, 3)
    assert chosen.migration.radius_m == 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"replay": {"clients": 0}}', "replay.clients"),
        ('{"replay": {"clinets": 2}}', "clinets"),
        ('{"replay": 5}', "replay"),
        ('{"seed": NaN}', "JSON"),
        ("[]", "JSON object"),
        ("", "JSON"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_by_name(
    testbed: Any, tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content)
    ended = testbed("run", str(file))
    assert (ended.status, ended.out) == (2, "")
    assert str(file) in ended.err
    assert said in ended.err
