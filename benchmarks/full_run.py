"""experiments/kaist_full.py as a process, for benchmarks that look at it from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from testbed.errors import EXIT_COMPLETE, TestbedError
from testbed.runs.folder import RunFolder

_EXPERIMENT = Path(__file__).resolve().parents[1] / "experiments" / "kaist_full.py"


class FullRunError(TestbedError):
    """The run was refused or failed; what it said, and the status that it ended with."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said)
        self.exit_status = status


class FullRun:
    """A run that goes on; its folder goes with the context."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, said: Path) -> None:
        self._process = process
        self._folder = folder
        self._said = said
        self.pid = process.pid

    def said(self) -> str:
        """What it has printed so far."""
        return self._said.read_text(errors="replace")

    def goes_on(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def result(self) -> RunFolder:
        """Return its folder once it is complete; FullRunError otherwise."""
        status = self._process.wait()
        if status != EXIT_COMPLETE:
            raise FullRunError(self.said().strip().removeprefix("error: "), abs(status))
        return RunFolder(self._folder)


@contextmanager
def full_run(*options: str) -> Iterator[FullRun]:
    """Run the experiment without its simulation; it has cleaned up when the context is left."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as folder:
        out, said = Path(folder, "run"), Path(folder, "said")
        command = [sys.executable, str(_EXPERIMENT), *options]
        command += ["--set", "simulation.beside=false", "--out", str(out)]
        with said.open("wb") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, process_group=0
            )
        try:
            yield FullRun(process, out, said)
        finally:
            heard = signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is being heeded
            process.terminate()
            process.wait()
            signal.signal(signal.SIGINT, heard)
