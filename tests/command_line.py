"""An experiment's command line, in this process and as a script."""

from __future__ import annotations

import subprocess
import sys

import pytest

from testbed import launch
from testbed.repository import REPOSITORY
from testbed.settings.experiment import Experiment
from testbed.settings.options import with_options

KAIST = REPOSITORY / "experiments" / "kaist_inception.py"
EXPERIMENT = Experiment(name="test")


class StartedError(Exception):
    """Raised where the sandbox would replace the process."""


def parsed(*arguments: str) -> Experiment:
    return with_options(EXPERIMENT, launch.parser(EXPERIMENT).parse_args(list(arguments)))


def status_and_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        launch.main(EXPERIMENT, list(arguments))
    printed = capsys.readouterr()
    assert not printed.out
    assert isinstance(ended.value.code, int)
    return ended.value.code, printed.err


def run(*arguments: str, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(KAIST), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        user=user,
    )
