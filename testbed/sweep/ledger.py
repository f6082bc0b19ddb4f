"""The folder of a sweep: what it is of, which of its runs are done, and what they found.

A run is made under `.partial` and moved to its place, a folder of its id, once it is whole. Nothing
else counts as done, so a sweep can be killed at any instant.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from testbed.errors import ConfigurationError, TestbedError
from testbed.runs.folder import RunFolder
from testbed.runs.manifest import now, versions
from testbed.runs.whole_files import written_whole
from testbed.settings.experiment import Experiment, to_dict
from testbed.settings.people import OWN_STEPS
from testbed.sweep.parameter_study import ParameterStudy, Run
from testbed.sweep.results import State, run_rows, table_rows

#: Where runs lie while they are made, each in a folder of its own that nobody else writes into.
PARTIAL = ".partial"

_PACKAGES = ("loky", "numpy", "pandas", "scikit-learn", "scipy", "torch")
_LOCK = "sweep.lock"
_DESCRIPTION = "sweep.json"
_WRITE_EVERY_S = 1.0


class Ledger:
    """What became of the runs of a study; the sweep's folder need not exist."""

    def __init__(self, folder: Path, study: ParameterStudy) -> None:
        self.folder = folder
        self.study = study
        self.states = self._found(study.runs)  # by the runs' ids, as far as the folder tells
        self._settings = {run.id: run.settings for run in study.runs}
        self._written_s = 0.0

    @property
    def pending(self) -> list[Run]:
        """The runs that are still to be made: those that are not complete."""
        return [run for run in self.study.runs if self.states[run.id].status != "complete"]

    @property
    def failed(self) -> dict[str, str]:
        """The runs that failed, by their ids, each with the reason."""
        return {
            run_id: state.reason
            for run_id, state in self.states.items()
            if state.status == "failed" and state.reason is not None
        }

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder for this sweep alone; remove what others left of runs that are pending.

        Raise ConfigurationError if it cannot be made or written, is of something else, or another
        process is sweeping in it.
        """
        self._check()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / _LOCK).open("w")
        except OSError as error:
            raise ConfigurationError(f"{self.folder}: cannot be made: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigurationError(
                    f"{self.folder}: another sweep is at work in it; wait for its end"
                ) from error
            self._begin()
            try:
                yield
            finally:
                self._end()

    def record(self, run_id: str, state: State) -> None:
        """Take down what became of a run; `runs.csv` and `table.csv` follow within a second.

        A run that failed without leaving a folder gets one that says so.
        """
        self.states[run_id] = state
        place = self.folder / run_id
        if state.reason is not None and not place.exists():
            note_failure(place, self._settings[run_id], state.reason)
        if time.monotonic() - self._written_s > _WRITE_EVERY_S:
            self.write()

    def close(self) -> None:
        """Record what was done but not yet reported, and write the final tables."""
        self.states |= self._found(self.pending)
        self.write()

    def write(self) -> None:
        """Write `runs.csv` and `table.csv` as of now."""
        self._write("runs.csv", run_rows(self.study, self.states))
        rows = zip(table_rows(self.study, self.states), self.study.configurations, strict=True)
        self._write("table.csv", [row | dict(each.shown) for row, each in rows])
        self._written_s = time.monotonic()

    def _found(self, runs: Sequence[Run]) -> dict[str, State]:
        return {run.id: read_state(self.folder / run.id, run.settings) for run in runs}

    def _check(self) -> None:
        """Refuse a folder that is of something else, before anything is written into it."""
        try:
            described = json.loads((self.folder / _DESCRIPTION).read_bytes())
        except FileNotFoundError:
            if self.folder.exists() and {path.name for path in self.folder.iterdir()} - {_LOCK}:
                raise ConfigurationError(
                    f"{self.folder}: is not empty, and no folder of a sweep; name another with"
                    " --out"
                ) from None
            return
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{self.folder / _DESCRIPTION}: {error}") from error
        if described.get("fixed") != self.study.fixed:
            differing = ", ".join(_differences(described.get("fixed"), self.study.fixed))
            raise ConfigurationError(
                f"{self.folder}: is of a sweep with other settings ({differing}); name another"
                " folder with --out"
            )

    def _begin(self) -> None:
        description = {
            "command": sys.argv,
            "start": now(),
            **versions(_PACKAGES),
            "fixed": self.study.fixed,
            "variables": {
                variable.name: {"path": variable.path, "values": variable.values}
                for variable in self.study.variables
            },
            "constraints": self.study.constraints,
            "repetitions": self.study.repetitions,
        }
        with written_whole(self.folder / _DESCRIPTION) as file:
            file.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(self.folder / PARTIAL, ignore_errors=True)
        (self.folder / PARTIAL).mkdir(exist_ok=True)
        self.states = self._found(self.study.runs)
        for run in self.pending:
            if (self.folder / run.id).exists():
                shutil.rmtree(self.folder / run.id)

    def _end(self) -> None:
        if not self.pending:
            shutil.rmtree(self.folder / PARTIAL, ignore_errors=True)
        with suppress(OSError):  # a cluster's worker may still be at a run
            (self.folder / PARTIAL).rmdir()

    def _write(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        with written_whole(self.folder / name) as file:
            pd.DataFrame(rows).to_csv(file, index=False)


def read_state(folder: Path, settings: Experiment) -> State:
    """Return what became of the run in a folder, pending unless it is of exactly these settings."""
    run = RunFolder(folder)
    try:
        if not _is_of(settings, run.read_json("config")):
            return State("pending")
        manifest = run.read_json("manifest")
        if manifest["status"] == "complete":
            return State("complete", figures=run.read_json("summary"))
    except (TestbedError, OSError):
        return State("pending")
    if manifest["status"] == "failed":
        return State("failed", reason=manifest["reason"])
    return State("pending")


def _is_of(settings: Experiment, config: dict[str, Any]) -> bool:
    """Whether a config.json is of settings; where they have no steps, with the data set's own."""
    asked, traces = json.loads(json.dumps(to_dict(settings))), config.get("traces")
    if isinstance(traces, dict):
        own = [name for name in OWN_STEPS if asked["traces"][name] is None]
        asked["traces"] |= {name: traces.get(name) for name in own}
    return bool(config == asked)


@contextmanager
def scratch(folder: Path, run_id: str) -> Iterator[Path]:
    """Yield where to make a run of the sweep in `folder`; see to it that nothing of it stays there.

    The path ends as that of a run in its place does, which is what its report is called.
    """
    draft = Path(tempfile.mkdtemp(dir=folder / PARTIAL))
    (draft / folder.name).mkdir()
    try:
        yield draft / folder.name / run_id
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def move_in(draft: Path, folder: Path, settings: Experiment) -> State:
    """Move a run that was made in a scratch folder to its place; return what became of it.

    Where the same run is there already, complete, that one stays: a cluster makes a run twice whose
    worker was thought dead, or whose sweep was stopped and went on.
    """
    place = folder / draft.name
    try:
        draft.rename(place)
    except OSError:
        if read_state(place, settings).status != "complete":
            shutil.rmtree(place, ignore_errors=True)
            draft.rename(place)
    return read_state(place, settings)


def note_failure(folder: Path, settings: Experiment, reason: str, details: str = "") -> None:
    """Have a run's folder say that it failed, and why; `details` go into a log that is not there.

    What the run wrote itself stays. Raise OSError if the folder cannot be made, for example since
    the sweep that it was of is over.
    """
    folder.mkdir(exist_ok=True)
    run = RunFolder(folder)
    run.write_json("config", to_dict(settings))
    try:
        manifest = run.read_json("manifest")
    except TestbedError:
        manifest = {}
    run.write_json("manifest", {**manifest, "status": "failed", "reason": reason})
    if details and not run.log.exists():
        run.log.write_text(details, encoding="utf-8")


def _differences(before: object, after: object, path: str = "") -> Iterator[str]:
    """Yield the dotted paths at which two configurations differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _differences(before.get(key), after.get(key), f"{path}.{key}".lstrip("."))
    elif before != after:
        yield path
