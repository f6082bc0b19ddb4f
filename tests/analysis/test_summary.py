"""A run's figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from testbed.analysis.summary import executed_lines, queries_after_changes, summarise
from testbed.runs.records import collect, read_tables, write_table
from tests.analysis.fake_run import make_run

KEYS = {
    "hit_ratio",
    "handovers",
    "cold_start_queries",
    "queries",
    "migrated_bytes",
    "migrated_wire_bytes",
    "peak_uplink_mbps",
    "peak_downlink_mbps",
    "servers_under_100mbps_share",
    "fidelity",
}


def test_first_attachments_are_no_handovers(tmp_path):
    summary = make_run(tmp_path / "run").read_json("summary")
    handovers = read_tables(tmp_path / "run")["handovers"]
    assert summary.keys() >= KEYS
    assert summary["handovers"] == handovers["from_ap"].notna().sum() < len(handovers)
    assert summary["hits"] + summary["misses"] == summary["handovers"]
    assert summary["hit_ratio"] == summary["hits"] / summary["handovers"]
    assert summary["fidelity"] == "good"


def test_a_run_in_which_nothing_happened_has_no_ratios(tmp_path):
    collect(tmp_path)
    summary = summarise(read_tables(tmp_path), ["ap0"], "good")
    assert summary.keys() >= KEYS
    assert summary["hit_ratio"] is None
    assert summary["median_latency_s"] is None
    assert summary["migrated_bytes"] == summary["handovers"] == 0
    assert summary["peak_uplink_mbps"] == 0
    assert summary["servers_under_100mbps_share"] == 1


def test_wire_bytes_count_each_frame_once_and_peaks_add_causes(tmp_path):
    collect(tmp_path)
    rows = [
        ("ap0", 0, "uplink", "migration", 1000, 60.0, 1),
        ("ap0", 0, "uplink", "query", 10, 50.0, 1),
        ("ap1", 0, "downlink", "migration", 1000, 60.0, 1),
        ("ap1", 1, "downlink", "migration", 7, 30.0, 1),
    ]
    columns = ["server", "interval", "direction", "cause", "bytes", "mbps", "packets"]
    write_table(tmp_path, "backhaul", pd.DataFrame(rows, columns=columns))
    summary = summarise(read_tables(tmp_path), ["ap0", "ap1", "ap2", "ap3"], "good")
    assert summary["migrated_wire_bytes"] == 1000
    assert summary["peak_uplink_mbps"] == pytest.approx(110)
    assert summary["peak_downlink_mbps"] == pytest.approx(60)
    assert summary["servers_under_100mbps_share"] == 0.75


@pytest.mark.parametrize("seed", range(20))
def test_queries_after_changes_are_those_of_the_plain_definition(seed: int) -> None:
    """Times are whole, so that many are just at a change or at an interval's end."""
    rng = np.random.default_rng(seed)
    people = rng.choice(["ann", "bob", "cas"], rng.integers(1, 4))

    def table(rows: int, time: str, **more: object) -> pd.DataFrame:
        times_s = rng.integers(0, 300, rows).astype(float)
        return pd.DataFrame({"client": rng.choice(people, rows), time: times_s, **more})

    handovers = table(40, "trace_s", from_ap=rng.choice(np.array(["ap0", None]), 40))
    queries = table(500, "raised_s")
    plain = sum(
        0 <= query.raised_s - move.trace_s < 30
        for move in handovers.itertuples()
        for query in queries.itertuples()
        if query.client == move.client and move.from_ap == "ap0"
    )
    assert queries_after_changes(handovers, queries, 30.0) == plain
    assert queries_after_changes(handovers, queries[:0], 30.0) == 0


def test_where_and_how_precisely_layers_ran_is_told_where_it_is_unusual() -> None:
    usual = {"device": "cpu", "precision": "float32", "tolerance": "0"}
    assert executed_lines(usual, {}) == executed_lines({}, {}) == []
    low = usual | {"precision": "bfloat16", "tolerance": "0.1 of it"}
    (said,) = executed_lines(low, {})
    assert "bfloat16, compared within 0.1 of it" in said
    load = {
        "gpu_kernel_utilisation": {"mean": 0.4, "max": 0.9},
        "gpu_memory_used_bytes": {"mean": 2e9, "max": 3e9},
    }
    device, gpu = executed_lines(usual | {"device": "cuda: Made-up GPU"}, load)
    assert "on cuda: Made-up GPU" in device
    assert "40% of the time, 90% of the busiest second; at most 3.0 GB" in gpu
