"""All commands: how they are chosen, described, and end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed import cli
from tests.analysis.crafted_captures import backhaul_capture


def test_an_unknown_command_ends_with_2_and_the_list(testbed: Any) -> None:
    ended = testbed("swep")
    assert (ended.status, ended.out) == (2, "")
    assert all(name in ended.err for name in cli.COMMANDS)


def test_no_command_ends_with_2(testbed: Any) -> None:
    assert testbed().status == 2


@pytest.mark.parametrize("command", [[], *([name] for name in cli.COMMANDS)])
def test_every_command_has_help(testbed: Any, command: list[str]) -> None:
    ended = testbed(*command, "--help")
    assert (ended.status, ended.err) == (0, "")
    assert "usage: testbed" in ended.out


@pytest.mark.parametrize("arguments", [["analyze", "bare.pcap"], ["doctor"]])
def test_a_reader_that_left_ends_a_command_quietly(tmp_path: Path, arguments: list[str]) -> None:
    backhaul_capture(tmp_path / "bare.pcap")
    read, written = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "testbed.cli", *arguments]
        ended = subprocess.run(
            command, stdout=written, stderr=subprocess.PIPE, cwd=tmp_path, timeout=60, check=False
        )
    finally:
        os.close(written)
    assert (ended.returncode, ended.stderr) == (141, b"")
