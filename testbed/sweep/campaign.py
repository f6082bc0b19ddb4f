"""All runs of a sweep that are still to be made: carried out, taken down and watched."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Task as Row
from rich.text import Text

from testbed.emulation.fitness.examination import Finding
from testbed.sweep.execution import Keep, Task
from testbed.sweep.ledger import Ledger
from testbed.sweep.results import State

_SPEED_OVER_S = 3600.0  # the time left is told by the runs of the last hour


class Backend(Protocol):
    """What carries out runs: this machine, or a cluster."""

    @property
    def running(self) -> int:
        """How many runs are under way."""

    def examine(self) -> dict[str, list[Finding]]:
        """Return what the doctor finds on each machine that would emulate."""

    def reach(self, folder: Path, called_in: Path) -> None:
        """See to it that both folders are seen wherever runs are carried out."""

    def outcomes(self, tasks: Sequence[Task]) -> Generator[tuple[str, State], None, None]:
        """Carry out all tasks; yield the id of each run that has ended, and what became of it.

        Simulated ones come first. Closing the generator ends what is under way.
        """


def make_runs(ledger: Ledger, backend: Backend, *, keep: Keep, figures: bool) -> bool:
    """Make all runs that are pending in an opened ledger; return whether nobody stopped it.

    Ctrl-C stops it, and so do SIGTERM and SIGHUP. Whatever happens, what is done is written down.
    `keep` and `figures` are as in `Task`.
    """
    folder, called_in = ledger.folder, Path.cwd()
    tasks = [Task(run.id, run.settings, folder, called_in, keep, figures) for run in ledger.pending]
    try:
        with _stoppable(), _progress(ledger, backend) as progress:
            if tasks:
                backend.reach(folder, called_in)
            with closing(backend.outcomes(tasks)) as outcomes:
                for run_id, state in outcomes:
                    ledger.record(run_id, state)
                    progress.advance(progress.task_ids[0])
    except KeyboardInterrupt:
        return False
    finally:
        ledger.close()
    return True


def _progress(ledger: Ledger, backend: Backend) -> Progress:
    """Return a line with how many runs are done, under way and failed, and the time left."""
    progress = Progress(
        TextColumn("{task.completed:.0f} of {task.total:.0f} runs"),
        BarColumn(),
        _Counts(ledger, backend),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        speed_estimate_period=_SPEED_OVER_S,
    )
    runs = len(ledger.study.runs)
    progress.add_task("", total=runs, completed=runs - len(ledger.pending))
    return progress


class _Counts(ProgressColumn):
    """How many runs are under way, and how many have failed."""

    def __init__(self, ledger: Ledger, backend: Backend) -> None:
        super().__init__()
        self._ledger = ledger
        self._backend = backend

    def render(self, task: Row) -> Text:
        """Return both, as of now."""
        return Text(f"{self._backend.running} running, {len(self._ledger.failed)} failed")


@contextmanager
def _stoppable() -> Iterator[None]:
    """Have SIGTERM and SIGHUP do what Ctrl-C does, unless they are ignored (nohup)."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
