"""A machine that cannot keep up must say so, and time dilation must mend it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulation.runs import emulate, emulate_in_time

pytestmark = [pytest.mark.emulation, pytest.mark.slow]

#: Every query of two clients executed for real; a pass takes far longer here than on the devices.
OVERLOAD = ("--clients", "2", "--compute", "real", "--policy", "ionn", "--retain-uploads")


@pytest.fixture
def hogs() -> Iterator[None]:
    """Two processes that take all of two processors, if they get them."""
    busy = [sys.executable, "-c", "while True: pass"]
    processes = [subprocess.Popen(busy) for _ in range(2)]
    yield
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("hogs")
def test_real_computing_on_a_busy_machine_is_called_invalid(tmp_path: Path) -> None:
    run, printed = emulate(
        tmp_path / "run", *OVERLOAD, "--duration", "15", "--tdf", "1", timeout_s=200
    )
    fidelity = run.read_json("fidelity")
    assert fidelity["verdict"] == "invalid"
    assert any("computations: 99th percentile" in reason for reason in fidelity["reasons"])
    assert "fidelity: invalid" in printed
    assert fidelity["cpu_busy_share"]["p50"] > 0.9
    assert fidelity["cpu_pressure_share"]["max"] > 0.1
    assert fidelity["monitor_cpu_share"] < 0.02


@pytest.mark.timeout(1100)
@pytest.mark.usefixtures("hogs")
def test_the_same_in_slow_motion_is_good(tmp_path: Path) -> None:
    options = (*OVERLOAD, "--duration", "5", "--tdf", "20")
    run, printed = emulate_in_time(tmp_path, *options, timeout_s=350)
    assert run.read_json("fidelity")["cpu_busy_share"]["p50"] > 0.9
    assert "fidelity: good" in printed
