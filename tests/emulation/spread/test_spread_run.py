"""A whole run over two machines, which are namespaces with an SSH server each on this one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from testbed.runs.folder import RunFolder
from testbed.runs.records import read_table
from tests.emulation.runs import BUSIEST
from tests.emulation.spread.test_spread_network import beside_machines, pytestmark

__all__ = ["pytestmark"]

STEP_S = 6
SETTINGS = [
    *BUSIEST,
    *("--machines", "m1,m2", "--model", "mobilenet", "--compute", "profile", "--policy", "pull"),
    *("--clients", "1", "--duration", str(3 * STEP_S), "--set", f"traces.interval_s={STEP_S}"),
    *("--set", "traces.test_people=1", "--set", "traces.margin_m=60"),
    *("--set", "traces.window_m=-100,-100,900,100"),
]


def walks(file: Path) -> Path:
    """Write traces: everyone crosses a cell of 50 m radius with each step."""
    rows = [
        f"{person},{step * STEP_S},{step * 87 + person},{person}"
        for person in range(6)
        for step in range(9)
    ]
    file.write_text("\n".join(["id,time,x,y", *rows]) + "\n")
    return file


@pytest.mark.timeout(120)
def test_layers_migrate_between_servers_on_two_machines(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    traces = walks(tmp_path / "walks.csv")
    command = [sys.executable, "experiments/kaist_inception.py", *SETTINGS]
    found = beside_machines(tmp_path, *command, "--traces", str(traces), "--out", str(folder.path))
    assert found["status"] == 0
    assert found["left"] == {}
    manifest = folder.read_json("manifest")
    assert manifest["status"] == "complete"
    on = {ap: each["machine"] for each in manifest["machines"] for ap in each["access_points"]}
    transfers = read_table(folder.path, "transfers")
    across = [
        row
        for row in transfers[transfers["cause"] == "migration"].itertuples()
        if on[row.source] != on[row.destination]
    ]
    # Servers elsewhere have recorded them, by the run's clock
    assert sum(row.bytes for row in across) > 1e6
    assert all(0 < row.started_s <= row.ended_s < 4 * STEP_S for row in across)
    queries = read_table(folder.path, "queries")
    assert {on[edge] for edge in queries["edge"].dropna()} == {"m1", "m2"}
    assert (queries["outcome"] != "fallback").all()
