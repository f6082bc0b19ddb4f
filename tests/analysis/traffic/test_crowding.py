"""Which servers are crowded."""

from __future__ import annotations

from pathlib import Path

from testbed.analysis.traffic.crowding import crowded_servers
from testbed.runs.records import read_table
from tests.analysis.fake_run import make_run


def test_crowded_servers_are_those_with_the_highest_peak_uplinks(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    crowded = crowded_servers(folder)
    backhaul = read_table(folder.path, "backhaul")
    uplink = backhaul[backhaul["direction"] == "uplink"]
    peak = uplink.groupby(["server", "interval"])["mbps"].sum().groupby("server").max()
    assert len(crowded) == 2  # 7 % of 42
    assert crowded == list(peak.sort_values(ascending=False).index[:2])
