"""`--cli`: Mininet's command line on the network of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulation.runs import emulate

pytestmark = pytest.mark.emulation


@pytest.mark.timeout(200)
def test_commands_are_answered_and_then_the_run_begins(tmp_path: Path) -> None:
    options = ("--clients", "1", "--duration", "3", "--compute", "profile", "--cli")
    said = "c1 ip -o -4 addr show\nc1 ping -c 1 10.0.0.1\nexit\n"
    run, printed = emulate(tmp_path / "run", *options, said=said, timeout_s=150)
    assert "10.1.0.1/32" in printed
    assert " 0% packet loss" in printed
    assert run.read_json("manifest")["status"] == "complete"
