"""Access points on two machines, which are namespaces with an SSH server each on this one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.emulation.spread.machines import Machine
from testbed.emulation.spread.remote import SSH_VARIABLE, RemoteMachine
from testbed.errors import EXIT_INTERRUPTED, EmulationError
from testbed.namespaces import network_of
from testbed.repository import REPOSITORY
from testbed.runs.folder import RunFolder
from tests.emulation.machine_here import SERVER
from tests.emulation.runs import wait_for
from tests.emulation.sandboxed import run_in_sandbox

pytestmark = [
    pytest.mark.emulation,
    pytest.mark.skipif(
        not (Path(SERVER).exists() and shutil.which("ssh")), reason="needs dropbear-bin"
    ),
]
_IN_SANDBOX = (sys.executable, "-m", "testbed.emulation.sandbox.sandbox", sys.executable, "-m")


def beside_machines(keys: Path, *command: str) -> Any:
    """Run a command beside two machines; return what `beside_machines` prints."""
    return run_in_sandbox("tests.emulation.beside_machines", str(keys), *command, timeout_s=100)


def test_clients_reach_servers_on_other_machines_and_move_between_them(tmp_path: Path) -> None:
    found = beside_machines(tmp_path, *_IN_SANDBOX, "tests.emulation.measure_machines")
    assert found["status"] == 0
    seen = json.loads(found["said"][-1])
    access_points = [f"ap{number}" for number in range(1, 7)]
    reached = [f"{here} {there}" for here in access_points[:3] for there in access_points]
    assert seen["lost"] == dict.fromkeys(reached, 0)
    assert [each["access_points"] for each in seen["machines"]] == [["ap2", "ap5"], ["ap3", "ap6"]]
    for machine in seen["machines"]:  # whose clock is in truth this one's
        assert abs(machine["clock_offset_s"]) <= machine["clock_uncertainty_s"] < 0.005
        assert abs(machine["clock_drift_s"]) <= machine["clock_drift_uncertainty_s"]
    assert found["left"] == {}


def test_a_machine_that_does_not_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.txt"
    monkeypatch.setenv(SSH_VARIABLE, "sh -c 'echo no route >&2' ")
    monkeypatch.delenv("SUDO_USER", raising=False)
    machine = RemoteMachine(Machine.parse("m9"), network_of(os.getpid()), tmp_path, log)
    with machine, pytest.raises(EmulationError, match="m9 cannot be reached: no route"):
        assert machine.hello
    assert "no route" in log.read_text()


def test_nothing_stays_on_the_machines_when_the_run_is_killed(tmp_path: Path) -> None:
    found = beside_machines(tmp_path, *_IN_SANDBOX, "tests.emulation.measure_machines", "cut")
    assert found["status"] == -9
    assert found["left"] == {}


@pytest.mark.timeout(120)
def test_ctrl_c_is_heard_while_a_machine_is_waited_for(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    silent = f"sh -c 'touch {asked}; cat > /dev/null'"
    environment = {name: value for name, value in os.environ.items() if name != "SUDO_USER"}
    command = ["experiments/kaist_inception.py", "--machines", "localhost,m9"]
    run = subprocess.Popen(
        [sys.executable, *command, "--clients", "1", "--out", str(tmp_path / "run")],
        cwd=REPOSITORY,
        env=environment | {SSH_VARIABLE: silent},
    )
    try:
        wait_for(asked.exists, "the run to call the machine", 60)
        run.send_signal(signal.SIGINT)
        assert run.wait(timeout=30) == EXIT_INTERRUPTED
    finally:
        run.kill()
        run.wait()
    assert RunFolder(tmp_path / "run").read_json("manifest")["status"] == "interrupted"
