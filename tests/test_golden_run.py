"""Small cases whose results are kept in tests/golden/expected, and come out again.

Where a change is meant to change results, renew what is expected, and look at what became of it:

    PERDNN_RENEW_GOLDEN=1 .venv/bin/python -m pytest tests/test_golden_run.py
    git diff tests/golden

On the platform that they were kept on, tables are the same to the last digit; `digests.json` says
which that was. On others, numbers with a fraction may differ by a billionth.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed import cli, launch
from testbed.checks import check as checked
from testbed.movement import load_people
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_tables
from testbed.settings.experiment import from_dict
from tests.analysis.crafted_captures import backhaul_capture
from tests.golden.comparing import EXPECTED, RENEW, check, sorted_text, table_text

POLICIES = ("perdnn", "pull")


def settings(policy: str) -> dict[str, Any]:
    """Three clients on the synthetic campus, for two minutes."""
    return {
        "name": "golden",
        "engine": "simulate",
        "seed": 1,
        "traces": {"format": "synthetic", "test_people": 80},
        "replay": {"clients": 3, "duration_s": 120},
        "model": {"name": "mobilenet", "query_gap_s": 5.0},
        "migration": {"policy": policy},
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """The run of each policy."""
    results = tmp_path_factory.mktemp("golden")
    for policy in POLICIES:
        experiment = checked(from_dict(settings(policy)))
        people = load_people(experiment)
        launch.simulate(experiment, results / policy, people, figures=False)
    return {policy: RunFolder(results / policy) for policy in POLICIES}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_simulated_run_has_the_tables_and_the_summary_that_it_had(
    runs: dict[str, RunFolder], policy: str
) -> None:
    folder = runs[policy]
    for name, table in read_tables(folder.path).items():
        check(f"{policy}/{name}.csv", sorted_text(table))
    check(f"{policy}/summary.json", (folder.path / "summary.json").read_text())


def test_on_the_same_platform_tables_are_the_same_to_the_last_digit(
    runs: dict[str, RunFolder],
) -> None:
    found = {
        "platform": where(runs["perdnn"]),
        "sha256": {
            policy: {
                name: digest(table_text(table)) for name, table in read_tables(run.path).items()
            }
            for policy, run in runs.items()
        },
    }
    if not os.environ.get(RENEW):
        kept = json.loads((EXPECTED / "digests.json").read_text())["platform"]
        others = [key for key, value in found["platform"].items() if kept[key] != value]
        if others:
            pytest.skip(f"the digests were kept on another platform: {', '.join(others)}")
    check("digests.json", json.dumps(found, indent=2) + "\n")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def where(folder: RunFolder) -> dict[str, Any]:
    """What the last digits of numbers depend on."""
    manifest = folder.read_json("manifest")
    config: dict[str, Any] = np.show_config(mode="dicts")  # type: ignore[assignment]
    return {
        "machine": platform.machine(),
        "instructions": config["SIMD Extensions"]["found"],
        **{key: manifest[key] for key in ("cpu", "python", "packages")},
    }


def test_a_plan_is_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    check("plan.json", printed(capsys, "plan", "--model", "mobilenet", "--json"))


def test_what_a_capture_holds_is_as_it_was(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backhaul_capture(Path("crafted.pcap"))
    arguments = ("analyze", "crafted.pcap", "--interval", "30", "--json")
    check("analysis.json", printed(capsys, *arguments))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    assert ended.value.code == 0
    return capsys.readouterr().out
