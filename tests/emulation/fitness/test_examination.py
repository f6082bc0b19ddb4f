"""What the doctor says of machines that lack something."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from testbed.emulation.fitness import examination
from testbed.emulation.fitness.examination import Finding


def finding(name: str) -> Finding:
    return next(each for each in examination.examine() if each.name == name)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program can be found."""
    monkeypatch.setattr(examination, "_which", lambda tool: None)


def test_every_finding_has_a_state_and_says_what_was_seen() -> None:
    findings = examination.examine()
    assert {each.state for each in findings} <= {"found", "fallback", "missing"}
    assert all(each.detail for each in findings)
    assert len({each.name for each in findings}) == len(findings)


def test_whoever_is_not_root_is_told_to_use_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    findings = examination.examine()
    assert findings[0].state == "missing"
    assert "sudo" in findings[0].mend
    assert examination.unfit(findings)


def test_namespaces_are_not_tried_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "namespaces" not in {each.name for each in examination.examine()}


def test_missing_programs_come_with_the_packages_that_have_them(nowhere: None) -> None:
    tools, switch = finding("tools"), finding("Open vSwitch")
    assert (tools.state, switch.state) == ("missing", "missing")
    assert tools.mend.startswith("apt-get install ")
    assert {"tcpdump", "iproute2", "mininet"} <= set(tools.mend.split())
    assert "ovs-vswitchd" in switch.detail
    assert switch.mend == "apt-get install openvswitch-switch"


def test_the_userspace_datapath_needs_tun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(examination, "_TUN", tmp_path / "tun")
    assert finding("OVS datapath").state == "missing"


def test_missing_python_packages_are_mended_by_installing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination.importlib.util, "find_spec", lambda name: None)
    for name in ("mininet", "controller library", "torch"):
        assert finding(name).state == "missing"
        assert finding(name).mend == "./install.sh"
    assert finding("NVML").state == "fallback"


def test_little_memory_is_no_reason_not_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "MEMORY_BYTES", 1e18)
    assert finding("memory").state == "fallback"
    assert "--clients" in finding("memory").mend


def test_a_congestion_control_that_the_kernel_lacks_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examination, "CONGESTION_CONTROL", "pigeons")
    assert finding("congestion control").state == "missing"
    assert finding("congestion control").mend == "modprobe tcp_pigeons"


def test_findings_are_printed_whole_brackets_included() -> None:
    console = Console(file=io.StringIO(), width=120)
    examination.print_findings(
        [Finding("x", "missing", "seen [bold]this[/]", "do [that]")], console
    )
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "seen [bold]this[/]" in text
    assert "do [that]" in text


@pytest.mark.emulation
def test_on_a_fit_machine_nothing_is_missing() -> None:
    findings = examination.examine()
    assert not examination.unfit(findings), [each for each in findings if each.state == "missing"]
    assert {"namespaces", "HTB", "netem"} <= {each.name for each in findings}
