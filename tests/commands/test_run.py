"""`testbed run` takes the settings of an earlier run or of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed import launch
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment, to_dict


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Experiment, Path | None]]:
    """Experiments that would have been run."""
    runs: list[tuple[Experiment, Path | None]] = []

    def run(chosen: Experiment, out: Path | None, *, cli: bool, as_json: bool) -> int:
        assert not cli and not as_json
        runs.append((chosen, out))
        return 0

    monkeypatch.setattr(launch, "run", run)
    return runs


def test_an_earlier_run_is_run_again(
    testbed: Any, tmp_path: Path, started: list[tuple[Experiment, Path | None]]
) -> None:
    earlier = Experiment(name="earlier", seed=7)
    RunFolder(tmp_path).write_json("config", to_dict(earlier))
    assert testbed("run", str(tmp_path / "config.json")).status == 0
    assert testbed("run", str(tmp_path), "--out", "again").status == 0
    assert started == [(earlier, None), (earlier, Path("again"))]


def test_a_config_by_hand_may_be_short_and_be_overridden(
    testbed: Any, tmp_path: Path, started: list[tuple[Experiment, Path | None]]
) -> None:
    (tmp_path / "mine.json").write_text('{"replay": {"clients": 2}}')
    testbed("run", str(tmp_path / "mine.json"), "--radius", "100", "--set", "seed=3")
    chosen = started[0][0]
    assert (chosen.name, chosen.replay.clients, chosen.seed) == ("mine", 2, 3)
    assert chosen.migration.radius_m == 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"replay": {"clients": 0}}', "replay.clients"),
        ('{"replay": {"clinets": 2}}', "clinets"),
        ('{"replay": 5}', "replay"),
        ('{"seed": NaN}', "JSON"),
        ("[]", "JSON object"),
        ("", "JSON"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_by_name(
    testbed: Any, tmp_path: Path, content: str, said: str
) -> None:
    file = tmp_path / "mine.json"
    file.write_text(content)
    ended = testbed("run", str(file))
    assert (ended.status, ended.out) == (2, "")
    assert str(file) in ended.err
    assert said in ended.err
