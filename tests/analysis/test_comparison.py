"""Two engines side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from testbed.analysis.comparison import compare_runs
from testbed.errors import ConfigurationError
from testbed.runs.folder import RunFolder
from testbed.runs.records import write_table
from testbed.runs.tables import TABLES
from testbed.settings.experiment import Experiment, Migration, Replay, to_dict
from testbed.values import AccessPoint, Fix, Handover, Schedule

SCHEDULE = Schedule(
    source="test",
    start_s=0.0,
    duration_s=60.0,
    interval_s=30.0,
    access_points=(AccessPoint("a", 0.0, 0.0), AccessPoint("b", 100.0, 0.0)),
    clients={"c1": "one"},
    fixes=(Fix("c1", 0.0, 0.0, 0.0), Fix("c1", 30.0, 100.0, 0.0)),
    handovers=(Handover("c1", 0.0, None, "a"), Handover("c1", 30.0, "a", "b")),
)
SUMMARY = {
    "queries": 100,
    "cold_start_queries": 10,
    "median_latency_s": 0.2,
    "hits": 1,
    "migrated_bytes": 1000,
    "migrated_wire_bytes": 1050,
    "peak_uplink_mbps": 5.0,
    "peak_downlink_mbps": 5.0,
}


def run_of(path: Path, engine: str, present: int, queries: int = 100, **more: float) -> RunFolder:
    """Write as much of a run folder as is compared."""
    folder = RunFolder(path)
    path.mkdir()
    values = to_dict(Experiment(name="test", replay=Replay(clients=1)))
    (path / "config.json").write_text(json.dumps(values | {"engine": engine}))
    folder.write_schedule(SCHEDULE)
    folder.write_json("manifest", {"status": "complete"})
    folder.write_json("summary", SUMMARY | {"queries": queries} | more)
    raised_s = [0.5 * number for number in range(queries)]
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in TABLES}
    rows["queries"] = [{"client": "c1", "raised_s": time_s} for time_s in raised_s]
    for to_ap, from_ap, time_s, count in (("a", None, 0.0, 0), ("b", "a", 30.0, present)):
        rows["handovers"].append(
            {"client": "c1", "from_ap": from_ap, "to_ap": to_ap, "trace_s": time_s,
             "present_bytes": count, "wanted_bytes": 1000, "hit": count == 1000}
        )  # fmt: skip
        rows["transfers"].append(
            {"client": "c1", "destination": to_ap, "cause": "upload", "bytes": 1000 - count,
             "started_s": time_s + 0.1, "ended_s": time_s + 4.1}
        )  # fmt: skip
    for name, columns in TABLES.items():
        plain = {"string": "", "bool": False, "int64": 0, "float64": 0.0, "boolean": None}
        blank = {column.name: plain[column.dtype] for column in columns}
        frame = pd.DataFrame([blank | row for row in rows[name]], columns=list(blank))
        write_table(path, name, frame)
    return folder


def test_equal_runs_agree(tmp_path: Path) -> None:
    found = compare_runs(
        run_of(tmp_path / "e", "emulate", 1000), run_of(tmp_path / "s", "simulate", 1000)
    )
    assert found.disagreements == []
    assert found.agreeing_share == 1.0
    assert found.stays["queries_emulated"].tolist() == [60, 40]
    assert found.stays["upload_s_simulated"].tolist() == pytest.approx([4.0, 4.0])
    assert (found.totals["difference"] == 0).all()


def test_a_handover_that_lacks_a_little_agrees_and_one_that_lacks_much_does_not(
    tmp_path: Path,
) -> None:
    emulated = run_of(tmp_path / "e", "emulate", 960)
    close = compare_runs(emulated, run_of(tmp_path / "s1", "simulate", 1000))
    assert close.stays["agrees"].all()
    far = compare_runs(emulated, run_of(tmp_path / "s2", "simulate", 900))
    assert far.stays["agrees"].tolist() == [True, False]
    assert far.agreeing_share == 0.0
    assert any("1 of 1 handovers" in each for each in far.disagreements)


def test_totals_may_differ_by_a_little(tmp_path: Path) -> None:
    emulated = run_of(tmp_path / "e", "emulate", 1000)
    within = compare_runs(emulated, run_of(tmp_path / "s1", "simulate", 1000, queries=102))
    assert within.disagreements == []
    beyond = compare_runs(emulated, run_of(tmp_path / "s2", "simulate", 1000, queries=96))
    assert beyond.disagreements == ["queries: -4.0%, more than 3%"]


def test_what_only_one_engine_has_is_no_agreement(tmp_path: Path) -> None:
    emulated = run_of(tmp_path / "e", "emulate", 1000, migrated_bytes=0)
    handovers = pd.read_parquet(emulated.path / "handovers.parquet")
    write_table(emulated.path, "handovers", handovers[handovers["from_ap"].isna()])
    found = compare_runs(emulated, run_of(tmp_path / "s", "simulate", 1000))
    assert found.agreeing_share == 0.0
    assert [each.split(":")[0] for each in found.disagreements][:2] == [
        "1 of 1 handovers",
        "migrated_bytes",
    ]


def test_a_run_that_was_cut_off_is_not_compared(tmp_path: Path) -> None:
    emulated = run_of(tmp_path / "e", "emulate", 1000)
    emulated.write_json("manifest", {"status": "interrupted"})
    with pytest.raises(ConfigurationError, match="the run is interrupted"):
        compare_runs(emulated, run_of(tmp_path / "s", "simulate", 1000))


def test_what_is_not_the_same_run_is_refused(tmp_path: Path) -> None:
    emulated = run_of(tmp_path / "e", "emulate", 1000)
    simulated = run_of(tmp_path / "s", "simulate", 1000)
    with pytest.raises(ConfigurationError, match="is no emulated run"):
        compare_runs(simulated, emulated)
    config = simulated.path / "config.json"
    values = to_dict(
        Experiment(name="test", replay=Replay(clients=1), migration=Migration(radius_m=70.0))
    )
    config.write_text(json.dumps(values | {"engine": "simulate"}))
    with pytest.raises(ConfigurationError, match=r"migration\.radius_m differ"):
        compare_runs(emulated, simulated)
