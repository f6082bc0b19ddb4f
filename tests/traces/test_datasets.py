"""Which traces are taken where none are named, and what each data set needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import TraceError
from tests.traces.samples import WRITERS, crawdad, geolife
from traces import datasets
from traces.campus.synthetic import synthetic_campus
from traces.datasets import Rules, own_rules
from traces.loading import load
from traces.recording import recorded
from traces.window import GEOLIFE_WINDOW, KAIST_WINDOW


def test_kaist_is_known_by_the_names_of_its_files(tmp_path: Path) -> None:
    crawdad(tmp_path)
    assert own_rules(load(tmp_path)) == Rules()
    for file in list(tmp_path.iterdir()):
        file.rename(tmp_path / f"KAIST_30sec_{file.name}")
    assert own_rules(load(tmp_path)) == Rules(KAIST_WINDOW)


def test_geolife_has_the_papers_rectangle_and_steps_and_gaps_of_a_minute(tmp_path: Path) -> None:
    geolife(tmp_path)
    own = Rules(GEOLIFE_WINDOW, gap_s=60, interval_s=20, between="interpolate")
    assert own_rules(load(tmp_path)) == own


def test_campus_has_kaists_window() -> None:
    assert own_rules(recorded(synthetic_campus(0, people=2), "synthetic")) == Rules(KAIST_WINDOW)


@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"geolife"}))
def test_of_other_sets_everything_is_kept(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    assert own_rules(load(tmp_path)) == Rules()


def kaist_like(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "one.txt").write_text("0 0 0\n30 1 1\n")
    return folder


def test_named_folder_is_loaded(tmp_path: Path) -> None:
    assert datasets.find_traces(kaist_like(tmp_path / "mine"), seed=0).source == "mine"


def test_named_folder_that_is_missing_is_an_error_not_a_campus(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no such folder or file"):
        datasets.find_traces(tmp_path / "nowhere", seed=0)


def test_first_default_folder_with_traces_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes_only = tmp_path / "notes"
    notes_only.mkdir()
    (notes_only / "README.txt").write_text("where to get the data")
    folders = (tmp_path / "none", notes_only, kaist_like(tmp_path / "kaist"))
    monkeypatch.setattr(datasets, "DEFAULT_FOLDERS", folders)
    assert datasets.find_traces(None, seed=0).source == "kaist"


def test_campus_stands_in_where_there_is_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "DEFAULT_FOLDERS", (tmp_path / "none",))
    assert datasets.find_traces(None, seed=0).source == "synthetic campus"


def test_default_folders_are_beside_the_package_and_beside_the_repository() -> None:
    repository = Path(__file__).resolve().parents[2]
    expected = (
        repository / "traces" / "data" / "kaist",
        repository.parent / "shared" / "data" / "kaist",
    )
    assert expected == datasets.DEFAULT_FOLDERS
