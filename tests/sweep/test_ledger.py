"""The folder of a sweep: what counts as done."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from testbed.errors import ConfigurationError
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment, to_dict
from testbed.sweep.ledger import PARTIAL, Ledger, move_in, note_failure, read_state, scratch
from testbed.sweep.parameter_study import ParameterStudy, Run, make_study
from testbed.sweep.results import State

FIGURES = {"queries": 7, "hit_ratio": None, "fidelity": "good"}


def study(*vary: str, repeat: int = 1) -> ParameterStudy:
    return make_study(Experiment(name="walk"), vary or ["radius=50,75"], (), repeat)


def make(folder: Path, settings: Experiment, *, status: str = "complete", but: str = "") -> None:
    """Leave the documents of a run in a folder, all but one."""
    folder.mkdir(parents=True)
    documents: dict[str, dict[str, Any]] = {
        "config": to_dict(settings),
        "manifest": {"status": status},
        "summary": FIGURES,
    }
    for name, content in documents.items():
        if name != but:
            RunFolder(folder).write_json(name, content)


def pending(ledger: Ledger) -> list[str]:
    return [run.id for run in ledger.pending]


def rows(file: Path) -> Sequence[dict[str, str]]:
    with file.open() as lines:
        return list(csv.DictReader(lines))


def test_a_run_is_done_that_is_complete_and_of_these_settings(tmp_path: Path) -> None:
    first, second = study().runs
    make(tmp_path / first.id, first.settings)
    ledger = Ledger(tmp_path, study())
    assert pending(ledger) == [second.id]
    assert ledger.states[first.id] == State("complete", figures=FIGURES)


@pytest.mark.parametrize(
    "remains",
    [
        {"status": "interrupted"},
        {"status": "failed", "but": "summary"},
        {"but": "config"},
        {"but": "manifest"},
        {"but": "summary"},
        {"settings": Experiment(name="walk", seed=9)},
        {"torn": "config.json"},
        {"torn": "manifest.json"},
    ],
)
def test_anything_else_is_removed_and_run_again(tmp_path: Path, remains: dict[str, str]) -> None:
    run: Run = study().runs[0]
    torn = remains.pop("torn", None)
    make(tmp_path / run.id, remains.pop("settings", run.settings), **remains)  # type: ignore[arg-type]
    if torn:
        (tmp_path / run.id / torn).write_text('{"status": "comp')
    if remains.get("status") == "failed":
        note_failure(tmp_path / run.id, run.settings, "no luck")
    (tmp_path / "sweep.json").write_text(json.dumps({"fixed": study().fixed}))
    ledger = Ledger(tmp_path, study())
    assert run.id in pending(ledger)
    with ledger.opened():
        assert run.id in pending(ledger)
        assert not (tmp_path / run.id).exists()


def test_what_was_being_made_is_removed_and_other_runs_stay(tmp_path: Path) -> None:
    first, second = study().runs
    (tmp_path / "sweep.json").write_text(json.dumps({"fixed": study().fixed}))
    make(tmp_path / first.id, first.settings)
    make(tmp_path / "radius=60,#0,seed=1", first.settings)
    make(tmp_path / PARTIAL / "abc" / "sweep" / second.id, second.settings)
    ledger = Ledger(tmp_path, study())
    with ledger.opened():
        assert pending(ledger) == [second.id]
        assert list((tmp_path / PARTIAL).iterdir()) == []
    assert not (tmp_path / PARTIAL).exists()
    assert (tmp_path / first.id).is_dir()
    assert (tmp_path / "radius=60,#0,seed=1").is_dir()


def test_more_values_and_repetitions_use_what_is_there(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out", study()).opened():
        for run in study().runs:
            make(tmp_path / "out" / run.id, run.settings)
    more = study("radius=75,50,100", repeat=2)
    ledger = Ledger(tmp_path / "out", more)
    with ledger.opened():
        assert set(pending(ledger)) == {run.id for run in more.runs} - {
            run.id for run in study().runs
        }


def test_a_folder_of_other_settings_is_refused_with_what_differs(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out", study()).opened():
        pass
    other = make_study(Experiment(name="walk", engine="simulate", seed=4), ["radius=50"], (), 1)
    with pytest.raises(ConfigurationError, match=r"other settings \(engine, seed\)"):
        Ledger(tmp_path / "out", other).opened().__enter__()
    with pytest.raises(ConfigurationError, match=r"\(migration.policy, migration.radius_m\)"):
        Ledger(tmp_path / "out", study("policy=ionn")).opened().__enter__()


def test_a_folder_of_something_else_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigurationError, match="is not empty, and no folder of a sweep"):
        Ledger(tmp_path, study()).opened().__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ConfigurationError, match="Not a directory"):
        Ledger(tmp_path / "thesis.tex" / "out", study()).opened().__enter__()


def test_a_second_sweep_in_a_folder_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    refused = pytest.raises(ConfigurationError, match="another sweep is at work")
    with Ledger(tmp_path, study()).opened(), refused:
        Ledger(tmp_path, study()).opened().__enter__()
    with Ledger(tmp_path, study()).opened():
        pass


def test_the_description_says_what_the_sweep_is(tmp_path: Path) -> None:
    made = make_study(Experiment(name="walk"), ["fraction=none,10"], ["fraction == 10"], 2)
    with Ledger(tmp_path, made).opened():
        described = json.loads((tmp_path / "sweep.json").read_text())
    assert described["fixed"] == made.fixed
    assert described["variables"] == {
        "fraction": {"path": "migration.fraction_mb", "values": [None, 10]}
    }
    assert (described["constraints"], described["repetitions"]) == (["fraction == 10"], 2)
    assert {"command", "start", "testbed", "git_commit", "python", "packages"} <= described.keys()


def test_a_run_comes_to_its_place_whole_and_once(tmp_path: Path) -> None:
    run = study().runs[0]
    (tmp_path / PARTIAL).mkdir()
    with scratch(tmp_path, run.id) as made:
        assert (made.name, made.parent.name) == (run.id, tmp_path.name)
        make(made, run.settings)
        assert move_in(made, tmp_path, run.settings).status == "complete"
    first = (tmp_path / run.id).stat().st_ino
    with scratch(tmp_path, run.id) as made:
        make(made, run.settings)
        assert move_in(made, tmp_path, run.settings).status == "complete"
    assert (tmp_path / run.id).stat().st_ino == first
    with scratch(tmp_path, run.id) as made:
        note_failure(made, run.settings, "no luck")
        assert move_in(made, tmp_path, run.settings).status == "complete"
    assert (tmp_path / run.id).stat().st_ino == first
    with pytest.raises(OSError), scratch(tmp_path, run.id) as made:
        move_in(made, tmp_path / "elsewhere", run.settings)
    assert list((tmp_path / PARTIAL).iterdir()) == []


def test_a_complete_run_takes_the_place_of_one_that_failed(tmp_path: Path) -> None:
    run = study().runs[0]
    (tmp_path / PARTIAL).mkdir()
    for reason in ("no luck", "worse"):
        with scratch(tmp_path, run.id) as made:
            note_failure(made, run.settings, reason)
            assert move_in(made, tmp_path, run.settings) == State("failed", reason)
    with scratch(tmp_path, run.id) as made:
        make(made, run.settings)
        assert move_in(made, tmp_path, run.settings).status == "complete"


def test_who_is_still_at_a_run_of_a_sweep_that_is_over_notes_nothing(tmp_path: Path) -> None:
    run = study().runs[0]
    (tmp_path / PARTIAL).mkdir()
    with scratch(tmp_path, run.id) as made, pytest.raises(FileNotFoundError):
        shutil.rmtree(tmp_path / PARTIAL)
        note_failure(made, run.settings, "its folder is gone")
    assert not (tmp_path / PARTIAL).exists()


def test_a_failure_is_noted_beside_what_the_run_left(tmp_path: Path) -> None:
    run = study().runs[0]
    make(tmp_path / "run", run.settings, status="interrupted", but="summary")
    note_failure(tmp_path / "run", run.settings, "no luck", "a trace")
    assert read_state(tmp_path / "run", run.settings) == State("failed", "no luck")
    assert (tmp_path / "run" / "log.txt").read_text() == "a trace"
    note_failure(tmp_path / "run", run.settings, "worse", "another")
    assert (tmp_path / "run" / "log.txt").read_text() == "a trace"


def test_the_tables_follow_what_is_recorded(tmp_path: Path) -> None:
    made = study("radius=50,75", "fraction=none,10")
    ledger = Ledger(tmp_path, made)
    with ledger.opened():
        first, second, *_ = made.runs
        ledger.record(first.id, State("complete", figures=FIGURES))
        found = rows(tmp_path / "runs.csv")
        assert [row["status"] for row in found] == ["complete", "pending", "pending", "pending"]
        ledger.record(second.id, State("failed", "its process died"))
        ledger.write()
        found = rows(tmp_path / "runs.csv")
        assert found[0] == {
            "id": "fraction=none,radius=50,#0,seed=1", "radius": "50", "fraction": "none",
            "repetition": "0", "seed": "1", "status": "complete", "reason": "",
            "queries": "7.0", "hit_ratio": "", "fidelity": "good",
        }  # fmt: skip
        assert (found[1]["status"], found[1]["reason"]) == ("failed", "its process died")
        assert ledger.failed == {second.id: "its process died"}
        table = rows(tmp_path / "table.csv")
        assert [(row["radius"], row["fraction"], row["n"]) for row in table] == [
            *(("50", "none", "1"), ("50", "10", "0"), ("75", "none", "0"), ("75", "10", "0"))
        ]
        assert (table[0]["queries"], table[0]["queries_ci95"]) == ("7.0", "")
    again = Ledger(tmp_path, made)
    assert again.states[second.id] == State("failed", "its process died")
