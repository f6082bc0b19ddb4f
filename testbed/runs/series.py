"""Several emulated runs, one after the other: what an experiment that compares them consists of."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO

import msgspec
from rich.console import Console

from testbed.errors import EXIT_COMPLETE
from testbed.settings.experiment import Experiment, to_dict

#: A run ends with the thread that started it, however that ends (as `namespaces.die_with_parent`,
#: but also where the process that starts it has other threads).
_DIES_WITH_STARTER = ("setpriv", "--pdeathsig", "KILL", "--")

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def command(config: Path, out: Path) -> list[str]:
    """Return what runs a config.json."""
    return [sys.executable, "-m", "testbed.cli", "run", str(config), "--out", str(out)]


def start(
    settings: Experiment, config: Path, out: Path, output: TextIO | None = None
) -> subprocess.Popen[bytes]:
    """Write settings into a config.json and start a process that runs it in the folder `out`.

    `output` takes what the process prints (None: it shares this process's terminal).
    """
    content = msgspec.json.format(msgspec.json.encode(to_dict(settings)), indent=2)
    config.write_bytes(content + b"\n")
    return subprocess.Popen(
        [*_DIES_WITH_STARTER, *command(config, out)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # Ctrl-C reaches it once, through this process
    )


class Series:
    """Runs in subfolders of one folder, each a process of its own (`testbed run`).

    A signal that asks this process to end is passed on to the run under way, which keeps what it
    has recorded; those before it are complete. `runs` says how many there will be in all, where
    they are run in several parts.
    """

    def __init__(self, folder: Path, runs: int | None = None) -> None:
        self.folder = folder
        self._runs = runs
        self._begun = 0
        self._ended_by = 0
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, runs: Mapping[str, Experiment]) -> int:
        """Run all, by the name of their folder; return the first status that is not 0, else 0."""
        console = Console(stderr=True)
        in_all = self._runs or len(runs)
        with self._forwarding():
            for name, settings in runs.items():
                self._begun += 1
                said = f"run {self._begun} of {in_all}: {name}"
                console.print(said, highlight=False, style="bold")
                if status := self._run(settings, name):
                    return status
        return EXIT_COMPLETE

    def _run(self, settings: Experiment, name: str) -> int:
        if self._ended_by:
            return 128 + self._ended_by
        child = self._child = start(settings, self.folder / f"{name}.json", self.folder / name)
        if self._ended_by:
            child.send_signal(self._ended_by)
        status = child.wait()
        self._child = None
        return 128 + self._ended_by if self._ended_by else abs(status) + 128 * (status < 0)

    @contextmanager
    def _forwarding(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._end) for number in _FORWARDED}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._ended_by = number
        if self._child is not None:
            self._child.send_signal(number)
