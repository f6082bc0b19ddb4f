"""Runs commands of the project in forks of one process that has imported everything once.

    python -m tests.docs.forks < requests > replies

A request is a line of JSON: the command's words, the folder to run it in, and the file for what it
prints. The reply is a line with its exit status. Figures are not drawn: files stand in for them.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: What most commands import. A module that is not there is no error here: no command needs it.
_IMPORTED = (
    *("torch", "pandas", "scipy.optimize", "scipy.signal", "sklearn.svm", "sklearn.ensemble"),
    *("matplotlib.pyplot", "pyarrow.parquet", "igraph", "rich.progress", "pyproj"),
    *("testbed.cli", "testbed.launch", "testbed.simulation.engine", "testbed.analysis.conclusion"),
)


def main() -> None:
    """Carry out the requests, one after the other."""
    os.environ["MPLBACKEND"] = "agg"
    for name in _IMPORTED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    _draw_nothing()
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _carry_out(**request)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _draw_nothing() -> None:
    from matplotlib.figure import Figure

    def savefig(self: Figure, file: Any, **_: Any) -> None:
        if isinstance(file, (str, Path)):
            Path(file).touch()

    Figure.savefig = savefig  # type: ignore[method-assign]


def _carry_out(words: Sequence[str], folder: str, output: str) -> None:
    """Become a command, and end with its exit status."""
    status = 1
    try:
        os.chdir(folder)
        with Path(output).open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        status = _run(words)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(words: Sequence[str]) -> int:
    program, *_ = sys.argv = list(words)
    try:
        if program == "testbed":
            from testbed.cli import main as testbed

            sys.exit(testbed())
        sys.path.insert(0, str(Path(program).parent.resolve()))
        runpy.run_path(program, run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


if __name__ == "__main__":
    main()
