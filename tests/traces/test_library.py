from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TraceError
from traces import library


def kaist_like(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "one.txt").write_text("0 0 0\n30 1 1\n")
    return folder


def test_named_folder_is_loaded(tmp_path: Path) -> None:
    assert library.find_traces(kaist_like(tmp_path / "mine"), seed=0).source == "mine"


def test_named_folder_that_is_missing_is_an_error_not_a_campus(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such folder or file"):
        library.find_traces(tmp_path / "nowhere", seed=0)


def test_first_default_folder_with_traces_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes_only = tmp_path / "notes"
    notes_only.mkdir()
    (notes_only / "README.txt").write_text("where to get the data")
    folders = (tmp_path / "none", notes_only, kaist_like(tmp_path / "kaist"))
    monkeypatch.setattr(library, "DEFAULT_FOLDERS", folders)
    assert library.find_traces(None, seed=0).source == "kaist"


def test_campus_stands_in_where_there_is_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "DEFAULT_FOLDERS", (tmp_path / "none",))
    assert library.find_traces(None, seed=0).source == "synthetic campus"


def test_default_folders_are_beside_the_package_and_beside_the_repository() -> None:
    repository = Path(__file__).resolve().parents[2]
    expected = (
        repository / "traces" / "data" / "kaist",
        repository.parent / "shared" / "data" / "kaist",
    )
    assert expected == library.DEFAULT_FOLDERS
