"""Files that declare an experiment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from testbed.errors import ConfigurationError
from testbed.settings.experiment import Experiment
from testbed.sweep.declaration import declared_experiment

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
DECLARES = "from testbed.settings.experiment import Experiment\nMINE = Experiment(name='mine')\n"


def written(folder: Path, text: str) -> Path:
    file = folder / "mine.py"
    file.write_text(text)
    return file


def test_an_experiment_of_the_project_is_found_and_nothing_is_run() -> None:
    paths = list(sys.path)
    found = declared_experiment(EXPERIMENTS / "kaist_inception.py")
    assert (found.name, found.replay.clients) == ("kaist_inception", 8)
    assert "_venv" not in sys.modules
    assert sys.path == paths


def test_the_file_that_would_replace_this_process_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "_venv.py").write_text("import os\nos._exit(77)\n")
    file = written(tmp_path, f"import _venv  # noqa: F401\n{DECLARES}")
    assert declared_experiment(file) == Experiment(name="mine")


def test_neighbours_can_be_imported_and_another_name_for_the_same_is_no_second(
    tmp_path: Path,
) -> None:
    (tmp_path / "neighbour_of_mine.py").write_text("SEED = 5\n")
    file = written(
        tmp_path,
        "import neighbour_of_mine\nfrom testbed.settings.experiment import Experiment\n"
        "MINE = SAME = Experiment(name='mine', seed=neighbour_of_mine.SEED)\n",
    )
    assert declared_experiment(file).seed == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", "declares no experiment"),
        (f"{DECLARES}OTHER = Experiment(name='other')\n", r"several experiments \(MINE, OTHER\)"),
        ("raise RuntimeError('out of order')\n", "RuntimeError: out of order"),
        ("import sys\nsys.exit(4)\n", "SystemExit: 4"),
        ("def (\n", "SyntaxError"),
    ],
)
def test_a_file_without_exactly_one_is_refused(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(ConfigurationError, match=said) as refused:
        declared_experiment(file)
    assert str(file) in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        declared_experiment(tmp_path / "none.py")
