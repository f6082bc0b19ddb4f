"""The same scenario with time stretched: what is reported must be the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.runs.folder import RunFolder
from testbed.runs.records import read_table
from tests.emulation.runs import emulate_in_time

pytestmark = [pytest.mark.emulation, pytest.mark.slow]

TOLERANCE = 0.03
#: Two people who are handed over at the first step, and upload nearly all the while.
SCENARIO = ("--clients", "2", "--duration", "25", "--compute", "memo", "--policy", "perdnn")
SCENARIO += ("--set", "replay.warm_start=false")


def figures(run: RunFolder) -> dict[str, float]:
    """What a run reports, in emulated time."""
    queries, transfers = read_table(run.path, "queries"), read_table(run.path, "transfers")
    uploads = transfers[transfers["cause"] == "upload"]
    summary = run.read_json("summary")
    return {
        "queries": len(queries),
        "median query, s": queries["latency_s"].median(),
        "mean query, s": queries["latency_s"].mean(),
        "uploaded, bytes": float(uploads["bytes"].sum()),
        "uploading, bit/s": uploads["bytes"].sum()
        / (uploads["ended_s"] - uploads["started_s"]).sum(),
        "uploaded on the wire, bytes": float(uploads["wire_bytes"].sum()),
        "migrated, bytes": summary["migrated_bytes"],
        "handovers": summary["handovers"],
        "hits": summary["hits"],
    }


@pytest.mark.timeout(1200)
def test_four_times_slower_is_the_same(tmp_path: Path) -> None:
    found = {}
    for tdf in (1, 4):
        options = (*SCENARIO, "--tdf", str(tdf))
        run, _ = emulate_in_time(tmp_path / str(tdf), *options, timeout_s=90 + 40 * tdf)
        found[tdf] = figures(run)
    assert found[1]["queries"] > 30
    assert found[4] == {
        name: pytest.approx(figure, rel=TOLERANCE) for name, figure in found[1].items()
    }
