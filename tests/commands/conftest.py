"""What tests of commands share: a command line to call, and traces for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from testbed import cli
from tests.sweep.studies import place, sweep
from tests.walkers import write_walkers

__all__ = ["place", "sweep"]


class Ended:
    """How a command ended: exit status and what it printed."""

    def __init__(self, status: object, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def testbed(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        printed = capsys.readouterr()
        return Ended(ended.value.code, printed.out, printed.err)

    return call


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    """Ten people who walk 20 m a step along x."""
    return write_walkers(tmp_path / "walkers", 10)
