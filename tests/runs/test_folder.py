"""The folder of a run and its documents."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import ConfigurationError, TestbedError
from testbed.runs.folder import RunFolder
from testbed.values import AccessPoint, Fix, Handover, Schedule


def test_two_runs_in_one_second_get_folders_of_their_own(tmp_path):
    first = RunFolder.create(tmp_path, "kaist_inception", 7)
    second = RunFolder.create(tmp_path, "kaist_inception", 7)
    assert first.path != second.path
    assert first.path.parent == tmp_path / "kaist_inception"
    assert "seed7" in first.path.name


def test_documents_come_back_as_written(tmp_path):
    folder = RunFolder.at(tmp_path / "run")
    folder.write_json("summary", {"hit_ratio": None, "handovers": 3})
    schedule = Schedule(
        "kaist",
        10.0,
        60.0,
        30.0,
        (AccessPoint("ap0", 0.0, 1.5),),
        {"client0": "trace3"},
        (Fix("client0", 0.0, 1.0, 2.0),),
        (Handover("client0", 0.0, None, "ap0"),),
    )
    folder.write_schedule(schedule)
    assert folder.read_json("summary") == {"hit_ratio": None, "handovers": 3}
    assert folder.read_schedule() == schedule
    assert sorted(path.name for path in folder.path.iterdir()) == ["schedule.json", "summary.json"]


def test_a_number_that_json_lacks_is_refused_and_leaves_the_old_document(tmp_path):
    folder = RunFolder.at(tmp_path / "run")
    folder.write_json("summary", {"hit_ratio": 0.5})
    with pytest.raises(ValueError, match="JSON"):
        folder.write_json("summary", {"hit_ratio": float("nan")})
    assert folder.read_json("summary") == {"hit_ratio": 0.5}


def test_a_folder_with_something_in_it_is_not_taken(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigurationError, match="not empty"):
        RunFolder.at(tmp_path)


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_a_missing_or_damaged_document_is_named(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
        (tmp_path / "schedule.json").write_text(content)
    folder = RunFolder(tmp_path)
    with pytest.raises(TestbedError, match=r"manifest\.json"):
        folder.read_json("manifest")
    with pytest.raises(TestbedError, match=r"schedule\.json"):
        folder.read_schedule()


def test_a_folder_that_cannot_be_made_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(ConfigurationError, match="--out"):
        RunFolder.create(tmp_path / "results", "name", 1)


def test_folder_that_may_not_be_written_is_refused_before_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write wherever it likes
    with pytest.raises(ConfigurationError, match="may not be written"):
        RunFolder.at(tmp_path / "run")
