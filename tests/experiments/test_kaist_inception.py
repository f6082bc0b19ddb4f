"""The KAIST experiment, simulated as a user does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd

from testbed.analysis.figures.run_figures import CAPTIONS
from tests.experiments.scripts import EXPERIMENTS, ended
from tests.traces.samples import geolife_like

SIMULATED = ("kaist_inception", "--engine", "simulate", "--trace-format", "synthetic")


def test_a_simulated_run_needs_no_root_and_leaves_a_whole_folder(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = (
        *("--clients", "3", "--duration", "300"),
        *("--policy", "visits", "--test-people", "80"),
    )
    process = ended(*SIMULATED, *arguments, "--out", str(out))
    assert process.returncode == 0, process.stderr
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["status"], manifest["engine"]) == ("complete", "simulate")
    summary = json.loads((out / "summary.json").read_text())
    queries = pd.read_parquet(out / "queries.parquet")
    assert summary["queries"] == len(queries) > 500
    assert summary["handovers"] >= 3
    assert summary["fidelity"] == "not applicable"
    assert (out / "report.html").is_file()
    assert len(list((out / "figures").glob("*.png"))) == len(CAPTIONS)


def test_whole_traces_are_simulated_from_end_to_end(tmp_path: Path) -> None:
    out = tmp_path / "run"
    arguments = ("--duration", "all", "--set", "traces.test_people=2", "--model", "mobilenet")
    process = ended(*SIMULATED, *arguments, "--out", str(out))
    assert process.returncode == 0, process.stderr
    schedule = json.loads((out / "schedule.json").read_text())
    assert len(schedule["clients"]) >= 2
    assert schedule["duration_s"] > 4 * 3600
    assert json.loads((out / "manifest.json").read_text())["simulated_s"] == schedule["duration_s"]


def test_a_simulation_loads_neither_mininet_nor_pyroute2(tmp_path: Path) -> None:
    """What only an emulation needs, a simulation does without, its checks included."""
    arguments = (
        *("--clients", "3", "--duration", "90", "--test-people", "80"),
        "--out",
        str(tmp_path / "run"),
    )
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}))\n"
        "from testbed.launch import main\n"
        "from testbed.sweep.declaration import declared_experiment\n"
        "from pathlib import Path\n"
        "main(declared_experiment(Path(sys.argv[1])), sys.argv[2:])\n"
    )
    script = EXPERIMENTS / "kaist_inception.py"
    done = subprocess.run(
        [sys.executable, "-c", code, str(script), *SIMULATED[1:], *arguments],
        cwd=EXPERIMENTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "complete"
    loaded = set(done.stdout.split())
    assert {"numpy", "testbed"} <= loaded
    assert not {"mininet", "pyroute2"} & loaded


def test_geolife_is_taken_in_its_own_steps_and_what_is_interpolated_is_said(tmp_path: Path) -> None:
    out = tmp_path / "run"
    traces = ("--traces", str(geolife_like(tmp_path / "geolife")), "--test-people", "1")
    window = ("--clients", "1", "--duration", "60", "--model", "mobilenet")
    process = ended("kaist_inception", "--engine", "simulate", *traces, *window, "--out", str(out))
    assert process.returncode == 0, process.stderr
    assert "geolife: at steps of 20 s, 36 positions (63%) are interpolated" in process.stderr
    config, manifest = (json.loads((out / f"{n}.json").read_text()) for n in ("config", "manifest"))
    assert config["traces"]["interval_s"] == 20
    assert config["traces"]["between_samples"] == "interpolate"
    assert manifest["interpolated_positions"] == 36
