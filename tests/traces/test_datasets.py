from __future__ import annotations

from pathlib import Path

import pytest

from tests.traces.samples import WRITERS, crawdad, geolife
from traces.campus import synthetic_campus
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


def test_geolife_has_the_papers_rectangle_and_gaps_of_a_minute(tmp_path: Path) -> None:
    geolife(tmp_path)
    assert own_rules(load(tmp_path)) == Rules(GEOLIFE_WINDOW, gap_s=60)


def test_campus_has_kaists_window() -> None:
    assert own_rules(recorded(synthetic_campus(0, people=2), "synthetic")) == Rules(KAIST_WINDOW)


@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"geolife"}))
def test_of_other_sets_everything_is_kept(tmp_path: Path, name: str) -> None:
    WRITERS[name](tmp_path)
    assert own_rules(load(tmp_path)) == Rules()
