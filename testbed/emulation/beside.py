"""An emulated run beside the simulation of its own movement, as a part of its report."""

from __future__ import annotations

import logging
import subprocess
import sys

import msgspec
from msgspec.structs import replace

from testbed.analysis.comparison import HIT_TOLERANCE, TOTAL_TOLERANCE, compare_runs
from testbed.analysis.figures.comparison_figure import draw_comparison
from testbed.analysis.html_report import write_report
from testbed.errors import TestbedError
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment, to_dict

_log = logging.getLogger(__name__)

_SIMULATED = "simulated"  # the simulated run's folder, in the emulated one's


def compare_with_simulator(folder: RunFolder, settings: Experiment) -> str:
    """Simulate a complete run's movement with its settings and write agreement.json.

    Returns a line that tells how both engines agree. Raises TestbedError if the simulation fails,
    or cannot be compared.
    """
    config = folder.path / f"{_SIMULATED}.json"
    content = to_dict(replace(settings, engine="simulate"))
    config.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    simulated = RunFolder(folder.path / _SIMULATED)
    try:
        _run("-m", "testbed.cli", "run", str(config), "--out", str(simulated.path))
    finally:
        config.unlink()
    found = compare_runs(folder, simulated)
    draw_comparison(found.stays, folder.figures)
    folder.write_json("agreement", found.content())
    write_report(folder)
    if found.disagreements:
        return "; ".join(["beside the simulator", *found.disagreements])
    return (
        f"beside the simulator: {found.agreeing_share:.0%} of the handovers agree within"
        f" {HIT_TOLERANCE:.0%} of the wanted bytes, totals within {TOTAL_TOLERANCE:.0%}"
    )


def _run(*arguments: str) -> None:
    command = [sys.executable, *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        _log.error("the simulation failed: %s", result.stderr)
        reason = (result.stderr.strip().splitlines() or ["see log.txt"])[-1]
        raise TestbedError(f"the simulation of this run failed: {reason}")
