"""One run of a sweep, carried out in whichever process it is given to."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal

from testbed.errors import EXIT_COMPLETE, TestbedError
from testbed.runs import series
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment, Traces
from testbed.sweep.ledger import move_in, note_failure, read_state, scratch
from testbed.sweep.results import State

if TYPE_CHECKING:
    from testbed.movement import People

Keep = Literal["tables", "summary"]

#: Whoever emulates for a sweep holds this file's lock, since emulations share a machine's time.
MACHINE_LOCK = Path("/run/perdnn-testbed.lock")

_SUMMARY = ("config.json", "manifest.json", "summary.json", "fidelity.json")

#: A worker may have several threads; runs share its folder, its threads of arithmetic and its GIL.
_ALONE = Lock()


@dataclass(frozen=True)
class Task:
    """A run to be carried out."""

    id: str
    settings: Experiment
    folder: Path  # of the sweep
    called_in: Path  # where relative paths and a user's own modules are looked for
    keep: Keep = "tables"  # all tables, or only what describes a run and sums it up
    figures: bool = False  # and a report, of a simulated run; an emulated one has them

    @property
    def emulated(self) -> bool:
        """Whether the run needs a machine for itself."""
        return self.settings.engine == "emulate"


def carry_out(task: Task) -> State:
    """Make a run and move it to its place; return what became of it.

    A run that fails leaves a folder too, with the reason in its manifest and details in its log.
    """
    with _ALONE, _inside(task.called_in), scratch(task.folder, task.id) as draft:
        if task.emulated:
            _emulate(task, draft)
        else:
            _simulate(task, draft)
        if task.keep == "summary" and read_state(draft, task.settings).status == "complete":
            _strip(draft)
        return move_in(draft, task.folder, task.settings)


def _simulate(task: Task, draft: Path) -> None:
    from threadpoolctl import threadpool_limits

    from testbed.checks import check
    from testbed.launch import simulate

    try:
        settings = check(task.settings)  # loads what the limits shall hold for
        with threadpool_limits(1):  # sums must not depend on who else uses the processors
            people = _people_of(task.settings)
            simulate(settings, draft, people, figures=task.figures)
    except (Exception, SystemExit) as error:  # a user's policy, predictor or model may do anything
        note_failure(draft, task.settings, reason_of(error), traceback.format_exc())


def outcome(carried_out: Callable[[], State]) -> State:
    """Return what became of a run, failed where it could not even be noted in its folder."""
    try:
        return carried_out()
    except Exception as error:
        return State("failed", reason_of(error))


def reason_of(error: BaseException) -> str:
    """Return what an error says, with its kind unless the testbed foresaw it."""
    if isinstance(error, TestbedError):
        return str(error)
    return "".join(traceback.format_exception_only(error)).strip()


def _people_of(settings: Experiment) -> People:
    """Return the people of an experiment's traces, those of the last runs at once."""
    from traces.datasets import is_campus

    traces = settings.traces
    path = None if traces.path is None else Path(traces.path)
    return _people(traces, settings.seed if is_campus(path, traces.format) else 0)


@lru_cache(maxsize=2)
def _people(traces: Traces, seed: int) -> People:
    from testbed.movement import load_people

    return load_people(Experiment(name="traces", traces=traces, seed=seed))


def _emulate(task: Task, draft: Path) -> None:
    """Emulate in a process of its own, while no other sweep's emulation is on this machine."""
    words = draft.parent / "said.txt"
    with MACHINE_LOCK.open("w") as lock, words.open("w", encoding="utf-8") as output:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = series.start(task.settings, draft.parent / "config.json", draft, output)
        try:
            status = child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            child.wait()
            raise
    if status != EXIT_COMPLETE:
        text = words.read_text(encoding="utf-8", errors="replace")
        note_failure(draft, task.settings, _reason(RunFolder(draft), status, text), text)


def _reason(run: RunFolder, status: int, words: str) -> str:
    """Return why an emulation failed: as it noted itself, else its last words."""
    try:
        return str(run.read_json("manifest")["reason"])
    except (TestbedError, KeyError):
        last = words.strip().rpartition("\n")[2]
        return f"exit status {status}: {last}"


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Be in a folder for a while: a cluster's workers were started anywhere."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _strip(folder: Path) -> None:
    """Remove all that a summary is not made of, or explained by."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in _SUMMARY:
            path.unlink()
