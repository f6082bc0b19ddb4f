"""The experiment that a file of declarations, such as experiments/kaist_inception.py, declares."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from testbed.errors import ConfigurationError
from testbed.settings.experiment import Experiment

#: The module by which an experiment, run as a script, changes over to the project's interpreter.
_INTERPRETER = "_venv"


def declared_experiment(file: Path) -> Experiment:
    """Return the one `Experiment` at the top level of a Python file.

    Raise ConfigurationError if the file cannot be loaded, or declares none or several.
    """
    names = vars(_load(file))
    found = {name: value for name, value in names.items() if isinstance(value, Experiment)}
    if len(set(map(id, found.values()))) == 1:
        return next(iter(found.values()))
    what = f"several experiments ({', '.join(sorted(found))})" if found else "no experiment"
    raise ConfigurationError(
        f"{file}: declares {what}; a sweep takes a file with one"
        " testbed.settings.experiment.Experiment"
    )


def _load(file: Path) -> ModuleType:
    if not file.is_file():
        raise ConfigurationError(f"{file}: no such file")
    specification = importlib.util.spec_from_file_location(f"experiment_{file.stem}", file)
    if specification is None or specification.loader is None:
        raise ConfigurationError(f"{file}: is no Python source file")
    module = importlib.util.module_from_spec(specification)
    with _as_script(file):
        try:
            specification.loader.exec_module(module)
        except (Exception, SystemExit) as error:  # whatever a user's file does when it is loaded
            raise ConfigurationError(
                f"{file}: cannot be loaded: {type(error).__name__}: {error}"
            ) from error
    return module


@contextmanager
def _as_script(file: Path) -> Iterator[None]:
    """Let a file import its neighbours, and stay in this process: it has the packages already."""
    neighbours = str(file.resolve().parent)
    sys.path.insert(0, neighbours)
    loaded = _INTERPRETER in sys.modules
    if not loaded:
        sys.modules[_INTERPRETER] = ModuleType(_INTERPRETER)
    try:
        yield
    finally:
        sys.path.remove(neighbours)
        if not loaded:
            del sys.modules[_INTERPRETER]
