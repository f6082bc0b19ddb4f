"""From settings to people: which rules apply to which traces."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from testbed.movement import load_people, prepare
from testbed.settings.experiment import Experiment, from_dict
from tests.traces.samples import (
    HEADING,
    LAT_DEG,
    LON_DEG,
    METRE_DEG,
    crawdad,
    geolife,
    geolife_like,
    plt_line,
    write,
)
from traces import datasets
from traces.window import GEOLIFE_WINDOW

KAIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "kaist"


def settings(path: Path | None, **traces: Any) -> Experiment:
    given = {"path": None if path is None else str(path), **traces}
    return from_dict({"name": "test", "traces": given})


def walkers(folder: Path, people: int = 4) -> Path:
    for person in range(people):
        lines = (f"{30 * step} {-1500 + 100 * step} {person}\n" for step in range(20))
        write(folder / f"p{person}.txt", lines)
    return folder


def test_own_window_is_taken_unless_another_is_given(tmp_path: Path) -> None:
    folder = walkers(tmp_path)
    assert {len(trace) for trace in load_people(settings(folder)).traces.traces} == {20}
    window = [-1000, -10, -500, 10]
    cropped = load_people(settings(folder, window_m=window)).traces
    assert {len(trace) for trace in cropped.traces} == {6}
    for file in list(folder.iterdir()):
        file.rename(folder / f"KAIST_30sec_{file.name}")
    assert {len(trace) for trace in load_people(settings(folder)).traces.traces} == {16}


def test_window_in_degrees_needs_degrees(tmp_path: Path) -> None:
    crawdad(tmp_path)
    with pytest.raises(ConfigurationError, match=r"traces\.window_m"):
        load_people(settings(tmp_path, window_deg=[36, 127, 37, 128]))


def test_geolife_outside_the_papers_rectangle_needs_a_window(tmp_path: Path) -> None:
    geolife(tmp_path)
    with pytest.raises(ConfigurationError, match="none of 2 traces moves inside"):
        load_people(settings(tmp_path))
    people = load_people(settings(tmp_path, window_deg=[36, 127, 37, 128]))
    assert people.traces.people == ("000", "001")


def test_geolife_has_its_own_gap(tmp_path: Path) -> None:
    lat_deg, lon_deg = GEOLIFE_WINDOW.centre_deg
    times = [0, 5, 10, 15, 70, 75, 140, 145, 150]
    lines = (plt_line(t, lat_deg, lon_deg + t * METRE_DEG) for t in times)
    write(tmp_path / "000" / "Trajectory" / "1.plt", (HEADING, *lines))
    traces = load_people(settings(tmp_path, interval_s=5)).traces
    assert [trace.time_s[[0, -1]].tolist() for trace in traces.traces] == [[0, 75], [140, 150]]
    traces = load_people(settings(tmp_path, interval_s=5, gap_s=20)).traces
    assert [len(trace) for trace in traces.traces] == [4, 2, 3]


def test_scenarios_are_sampled_at_the_interval(tmp_path: Path) -> None:
    file = write(tmp_path / "a.movements", ("0 0 0 100 100 0\n", "0 0 9 100 100 9\n"))
    recorded = load_people(settings(file, interval_s=20)).recorded
    assert recorded.interval_s == 20
    assert recorded.tracks[0].x.tolist() == [0, 20, 40, 60, 80, 100]


def test_what_was_left_out_is_told(tmp_path: Path) -> None:
    walkers(tmp_path)
    write(tmp_path / "bad.txt", ("0 0 0\n", "x\n", "0 1 1\n", "30 1 1\n"))
    with pytest.raises(ConfigurationError, match=r"bad\.txt:2: "):
        load_people(settings(tmp_path))
    recorded = load_people(settings(tmp_path, skip_bad=True)).recorded
    left_out = {name: count for name, count in asdict(recorded.dropped).items() if count}
    assert left_out == {"bad_lines": 1, "backwards": 1}
    with pytest.raises(ConfigurationError, match=r"bad\.txt:3: time goes"):
        load_people(settings(tmp_path, skip_bad=True, backwards="refuse"))


def test_split_draws_segments_of_test_people(tmp_path: Path) -> None:
    folder = walkers(tmp_path)
    given = settings(folder, test_people=3, test_segments=2)
    training, testing = load_people(given).split(given)
    assert (len(training.traces), len(testing.traces)) == (1, 2)
    assert not set(training.people) & set(testing.people)


def test_a_third_of_the_people_is_tested_where_nothing_else_is_asked_for(tmp_path: Path) -> None:
    given = settings(walkers(tmp_path))
    training, testing = load_people(given).split(given)
    assert (len(training.people), len(testing.people)) == (3, 1)


def test_too_few_people_are_an_error(tmp_path: Path) -> None:
    given = settings(walkers(tmp_path), test_people=31)
    with pytest.raises(
        ConfigurationError, match=r"31 test people .* 4 people .*traces\.test_people"
    ):
        load_people(given).split(given)


def test_run_is_prepared_from_geographic_traces(tmp_path: Path) -> None:
    for user in range(3):
        lines = (
            plt_line(30 * step, LAT_DEG + user * 1e-4, LON_DEG + 30 * step * METRE_DEG)
            for step in range(20)
        )
        write(tmp_path / "Data" / f"{user:03d}" / "Trajectory" / "1.plt", (HEADING, *lines))
    values = {
        "name": "test",
        "traces": {"path": str(tmp_path), "window_deg": [36, 127, 37, 128], "test_people": 2},
        "replay": {"clients": 2, "duration_s": 120},
    }
    movement = prepare(from_dict(values))
    assert movement.schedule.source == tmp_path.name
    assert set(movement.schedule.clients) == {"c1", "c2"}
    assert len(movement.schedule.handovers) > 2


def test_synthetic_campus_without_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "DEFAULT_FOLDERS", ())
    people = load_people(settings(None))
    assert (people.recorded.source, people.recorded.files) == ("synthetic campus", 0)
    assert people.traces.interval_s == 30


@pytest.mark.skipif(not KAIST.is_dir(), reason="the KAIST data are not at hand")
def test_kaist_in_the_papers_window() -> None:
    people = load_people(settings(KAIST))
    assert (people.recorded.format, people.recorded.files) == ("crawdad", 92)
    assert not any(asdict(people.recorded.dropped).values())
    positions = np.concatenate(people.traces.positions_m)
    assert len(positions) == 120_695
    assert (np.ptp(positions, axis=0) <= (1500, 2000)).all()
    assert 340 <= len(people.access_points) <= 380


def test_geolife_has_its_own_steps_and_what_lies_between_samples_is_counted(tmp_path: Path) -> None:
    """Of the steps at 0, 20, ... 360 s, those at multiples of 60 s are samples."""
    geolife_like(tmp_path)
    people = load_people(settings(tmp_path))
    assert people.traces.interval_s == 20
    assert [len(trace) for trace in people.traces.traces] == [19] * 3
    assert np.ptp(np.diff(people.traces.traces[0].x_m)) < 0.01  # of 20 m each
    assert people.traces.interpolated == 3 * 12
    assert "36 positions (63%) are interpolated" in people.made
    held = load_people(settings(tmp_path, between_samples="hold", interval_s=30))
    assert (held.traces.interval_s, held.traces.interpolated, held.made) == (30, 0, "")


def test_runs_keep_the_data_sets_own_steps(tmp_path: Path) -> None:
    given = {
        "name": "test",
        "traces": {"path": str(geolife_like(tmp_path)), "test_people": 2},
        "replay": {"clients": 2, "duration_s": 120},
    }
    movement = prepare(from_dict(given))
    traces = movement.settings.traces
    assert (traces.interval_s, traces.between_samples) == (20, "interpolate")
    assert (movement.schedule.interval_s, movement.schedule.interpolated) == (20, 36)
    given["traces"]["interval_s"] = 60
    movement = prepare(from_dict(given))
    assert (movement.schedule.interval_s, movement.schedule.interpolated) == (60, 0)


def test_other_traces_step_each_half_minute_as_sampled(tmp_path: Path) -> None:
    movement = prepare(
        from_dict(
            {
                "name": "test",
                "traces": {"path": str(walkers(tmp_path))},
                "replay": {"clients": 1, "duration_s": 60},
            }
        )
    )
    traces = movement.settings.traces
    assert (traces.interval_s, traces.between_samples, movement.made) == (30, "hold", "")


def test_the_step_of_traces_that_were_not_read_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="not known yet"):
        _ = settings(None).traces.step_s
