"""`--cli`: Mininet's command line on the network of a run."""

from __future__ import annotations

import logging
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from mininet.log import StreamHandlerNoNewline

from testbed.emulation import console
from testbed.errors import EXIT_INTERRUPTED
from testbed.repository import REPOSITORY
from testbed.runs.folder import RunFolder
from tests.emulation.runs import BUSIEST, emulate, start

pytestmark = pytest.mark.emulation

SHORT = (*BUSIEST, "--clients", "1", "--duration", "3", "--compute", "profile", "--cli")
SAID = "c1 ip -o -4 addr show\nc1 ping -c 1 -W 5 master\nexit\n"


@pytest.mark.timeout(200)
def test_a_script_is_carried_out_and_then_the_run_begins(tmp_path: Path) -> None:
    run, printed = emulate(tmp_path / "run", *SHORT, said=SAID, timeout_s=150)
    assert "10.1.0.1/32" in printed
    assert " 0% packet loss" in printed
    assert run.read_json("manifest")["status"] == "complete"


@pytest.mark.timeout(200)
def test_at_a_terminal_commands_are_answered_or_interrupted_and_then_the_run_begins(
    tmp_path: Path,
) -> None:
    ours, theirs = pty.openpty()
    command = ["setsid", "--ctty", sys.executable, "experiments/kaist_inception.py", *SHORT]
    run = subprocess.Popen(
        [*command, "--out", str(tmp_path / "run")],
        cwd=REPOSITORY,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    printed = b""
    lines = iter(["c1 ping -i 0.2 master\n", *SAID.splitlines(keepends=True)])
    interrupted = False
    try:
        while True:
            try:
                read = os.read(ours, 1 << 16)
            except OSError:  # nobody has the terminal any more
                break
            printed += read
            if printed.endswith(b"mininet> "):
                os.write(ours, next(lines).encode())
            elif not interrupted and b"bytes from" in printed:
                interrupted = True
                os.write(ours, b"\x03")
        assert run.wait(timeout=30) == 0, printed
    finally:
        run.kill()
        run.wait()
        os.close(ours)
    assert b"10.1.0.1/32" in printed
    assert b" 0% packet loss" in printed
    assert RunFolder(tmp_path / "run").read_json("manifest")["status"] == "complete"


@pytest.mark.timeout(200)
def test_who_ends_the_run_ends_a_command_that_never_would(tmp_path: Path) -> None:
    run = start(tmp_path / "run", *SHORT)
    try:
        assert run.stdin is not None and run.stdout is not None
        run.stdin.write("c1 ping -i 0.2 master\n")
        run.stdin.flush()
        while "bytes from" not in (line := run.stdout.readline()):
            assert line, "it has ended"
        run.terminate()
        assert run.wait(timeout=30) == EXIT_INTERRUPTED
    finally:
        run.kill()
        run.wait()
    assert RunFolder(tmp_path / "run").read_json("manifest")["status"] == "interrupted"


def test_what_ends_the_run_is_not_lost_while_a_commands_output_is_printed() -> None:
    class Interrupted:
        def write(self, text: str) -> int:
            console._end(0, None)
            return len(text)

    handler = StreamHandlerNoNewline(Interrupted())
    with pytest.raises(console._Ended):
        handler.emit(logging.makeLogRecord({"msg": "64 bytes from 10.0.0.1"}))
