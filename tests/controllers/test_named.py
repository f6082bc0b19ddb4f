from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from controllers.named import find_controller
from testbed.errors import ConfigurationError


def test_the_built_in_controller_starts_and_explains_its_options() -> None:
    command = find_controller("shortest_path")
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "--network FILE" in done.stdout and "--northbound PATH" in done.stdout


def test_a_file_is_started_with_this_interpreter(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.touch()
    assert find_controller(str(own)) == [sys.executable, str(own)]


def test_what_is_no_controller_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'shortest_path'"):
        find_controller("shortestpath")
    with pytest.raises(ConfigurationError, match=r"nowhere.py does not exist"):
        find_controller(str(tmp_path / "nowhere.py"))
