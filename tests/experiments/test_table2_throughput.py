"""Table II: simulated against the paper, and emulated against that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from testbed.runs.folder import RunFolder
from tests.experiments.scripts import ended, printed
from tests.experiments.single_client import MODELS, chosen, rows_of

PAPER_2 = {"mobilenet": (3.7, 4, 5), "inception": (29.3, 33, 44), "resnet": (22.4, 14, 34)}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    return printed("table2_throughput", tmp_path_factory.mktemp("table2"))


@pytest.fixture
def table2(both: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return both["rows"]


def test_at_the_papers_rates_the_table_is_the_papers(table2: list[dict[str, Any]]) -> None:
    last = table2[-len(MODELS) :]
    whole_runs = chosen(last, up_bps=35 * 2**20, uplink="separate", usable="run")
    for model, (uploading_s, miss, hit) in PAPER_2.items():
        row = whole_runs[model]
        assert row["uploading_s"] == pytest.approx(uploading_s, rel=0.005)
        assert row["hit_queries"] == hit
        assert abs(row["miss_queries"] - miss) <= 1


def test_layers_of_use_by_themselves_explain_resnets_misses(table2: list[dict[str, Any]]) -> None:
    """Only ResNet's count depends much on it, and only so it is far from the paper's 14."""
    by_layer = chosen(table2, up_bps=35 * 2**20, uplink="separate", usable="layer")
    counts = {model: row["miss_queries"] for model, row in by_layer.items()}
    assert (counts["mobilenet"], counts["inception"]) == (4, 33)
    assert counts["resnet"] in (17, 18)


def test_si_rates_come_first_and_take_longer(table2: list[dict[str, Any]]) -> None:
    rates = [row["up_bps"] for row in table2]
    assert rates == sorted(rates)
    si = chosen(table2, up_bps=35e6, uplink="separate", usable="layer")
    for row in si.values():
        assert row["uploading_s"] == pytest.approx(8 * row["upload_bytes"] / 35e6)


def test_a_shared_uplink_lengthens_uploads_by_the_queries_tensors(
    both: dict[str, list[dict[str, Any]]],
) -> None:
    """At most by what the queries send in that time: 602,112 bytes of input each, or less."""
    alone = chosen(both["rows"], up_bps=35e6, uplink="separate", usable="layer")
    shared = chosen(both["with_shared_uplink"], up_bps=35e6, uplink="shared", usable="layer")
    for model in MODELS:
        longer_s = shared[model]["uploading_s"] - alone[model]["uploading_s"]
        assert 0 < longer_s <= shared[model]["miss_raised"] * 8 * 1.7e6 / 35e6
        assert shared[model]["hit_queries"] > alone[model]["hit_queries"]


def test_counts_follow_the_gap(tmp_path: Path, table2: list[dict[str, Any]]) -> None:
    slower = rows_of(
        "table2_throughput", tmp_path / "out", "--model", "resnet", "--set", "model.query_gap_s=1.5"
    )
    row = slower[-1]
    assert row["model"] == "resnet"
    assert row["hit_queries"] == int(row["uploading_s"] / (1.5 + row["hit_query_s"]))
    assert row["miss_queries"] < table2[-1]["miss_queries"]


@pytest.mark.parametrize("name", ["table2_throughput", "fig7_single_client"])
def test_rates_that_are_too_low_are_said_to_be(name: str, tmp_path: Path) -> None:
    slow = ("--model", "mobilenet", "--set", "wireless.up_bps=1", "--out", str(tmp_path / "out"))
    process = ended(name, *slow)
    assert process.returncode == 0, process.stderr
    assert "mobilenet: at these rates nothing is worth offloading" in process.stderr
    emulated = ended(name, *slow[:-1], str(tmp_path / "other"), "--engine", "emulate")
    assert emulated.returncode == 2
    assert "nothing is worth offloading" in emulated.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--policy", "ionn"], "migration.policy"),
        (["--clients", "3"], "replay.clients"),
        (["--model", "resnext"], "did you mean 'resnet'"),
        (["--set", "migration.fraction_mb=5"], "migration.fraction_mb"),
    ],
)
def test_what_the_walk_decides_cannot_be_set(arguments: list[str], said: str) -> None:
    process = ended("table2_throughput", *arguments)
    assert process.returncode == 2
    assert process.stderr.startswith("error: ")
    assert said in process.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become someone else")
def test_without_root_nothing_is_emulated() -> None:
    process = ended("table2_throughput", "--engine", "emulate", user=65534)
    assert process.returncode == 3
    assert "root" in process.stderr
    assert not process.stdout


@pytest.mark.emulation
@pytest.mark.slow
def test_emulated_counts_are_the_simulations(tmp_path: Path) -> None:
    """MobileNet, the shortest: 4.8 s of upload, and as much with everything there."""
    out = tmp_path / "out"
    (row,) = rows_of("table2_throughput", out, "--engine", "emulate", "--model", "mobilenet")
    assert row["hit_present_share"] == 1
    assert row["upload_complete"]
    assert row["uploading_s"] == pytest.approx(row["simulated_uploading_s"], rel=0.1)
    assert abs(row["miss_queries"] - row["simulated_miss_queries"]) <= 1
    assert abs(row["hit_queries"] - row["simulated_hit_queries"]) <= 1
    # Headers alone are 66 bytes in 1,448, 4.56 %
    assert 0.0455 < row["tcp_overhead"] < 0.06
    assert RunFolder(out / "mobilenet").read_json("manifest")["status"] == "complete"
