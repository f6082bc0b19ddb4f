from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from traces.prepare import crop, hold, resample, split_people
from traces.trace import Trace, TraceSet
from traces.window import KAIST_WINDOW, Window

UNIT = Window(0, 10, 0, 10)


def trace(name: str, time_s: Sequence[float], x_m: Sequence[float]) -> Trace:
    return Trace(name, name, np.array(time_s, float), np.array(x_m, float), np.full(len(x_m), 5.0))


def trace_set(*traces: Trace) -> TraceSet:
    return TraceSet(traces, "hand-made", 30.0)


def test_trace_that_leaves_the_window_is_split_and_keeps_its_times() -> None:
    cropped = crop(trace_set(trace("a", range(0, 210, 30), [1, 2, 11, 3, 4, 5, 12])), UNIT)
    assert [part.name for part in cropped.traces] == ["a#0", "a#1"]
    assert [part.time_s.tolist() for part in cropped.traces] == [[0, 30], [90, 120, 150]]
    assert cropped.people == ("a",)


def test_gap_is_not_bridged() -> None:
    cropped = crop(trace_set(trace("a", [0, 30, 90, 120, 160], [1, 2, 3, 4, 5])), UNIT)
    assert [part.x_m.tolist() for part in cropped.traces] == [[1, 2], [3, 4, 5]]


def test_single_samples_are_dropped_and_numbers_stay_consecutive() -> None:
    cropped = crop(trace_set(trace("a", range(0, 180, 30), [1, 11, 2, 12, 3, 4])), UNIT)
    assert [(part.name, part.x_m.tolist()) for part in cropped.traces] == [("a#0", [3, 4])]


def test_borders_belong_to_the_window() -> None:
    cropped = crop(trace_set(trace("a", [0, 30], [0, 10])), UNIT)
    assert len(cropped.traces[0]) == 2


def test_window_that_nobody_enters_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="none of 1 traces"):
        crop(trace_set(trace("a", [0, 30], [20, 30])), UNIT)


def test_default_window_has_the_papers_size() -> None:
    assert (KAIST_WINDOW.width_m, KAIST_WINDOW.height_m) == (1500, 2000)


def test_positions_are_held_until_the_next_sample() -> None:
    held = hold(trace("a", [10, 35, 95, 119.9], [0, 1, 2, 3]), 30)
    assert held.time_s.tolist() == [30, 60, 90]
    assert held.x_m.tolist() == [0, 1, 1]


def test_holding_at_the_samples_own_times_changes_nothing() -> None:
    own = trace("a", np.arange(7) * 0.1, range(7))
    held = hold(own, 0.1)
    assert held.x_m.tolist() == own.x_m.tolist()


def test_phase_shifts_the_steps() -> None:
    held = hold(trace("a", [0, 30, 60], [0, 1, 2]), 30, phase_s=10)
    assert held.time_s.tolist() == [10, 40]
    assert held.x_m.tolist() == [0, 1]


def test_resampling_to_a_longer_interval_keeps_every_other_sample() -> None:
    resampled = resample(trace_set(trace("a", range(0, 150, 30), range(5))), 60)
    assert resampled.interval_s == 60
    assert resampled.traces[0].x_m.tolist() == [0, 2, 4]
    with pytest.raises(ConfigurationError, match="no trace lasts"):
        resample(trace_set(trace("a", [0, 30], [0, 1])), 60)
    with pytest.raises(ConfigurationError, match="above 0 s"):
        resample(resampled, 0)


def test_people_are_split_by_seed_and_never_shared() -> None:
    day = trace("p", range(0, 600, 30), [1, 11] + [1] * 8 + [11] + [1] * 9)
    days = [Trace(f"p{i}", f"p{i}", day.time_s, day.x_m, day.y_m) for i in range(10)]
    cropped = crop(trace_set(*days), UNIT)
    train, test = split_people(cropped, 3, seed=1)
    assert len(test.people) == 3
    assert not set(train.people) & set(test.people)
    assert len(train.traces) + len(test.traces) == len(cropped.traces) == 20
    assert split_people(cropped, 3, seed=1)[1].people == test.people
    assert any(split_people(cropped, 3, seed=seed)[1].people != test.people for seed in range(5))


@pytest.mark.parametrize("test_people", [0, 2, 31])
def test_split_that_leaves_nobody_on_a_side_is_an_error(test_people: int) -> None:
    two = trace_set(trace("a", [0, 30], [1, 2]), trace("b", [0, 30], [1, 2]))
    with pytest.raises(ConfigurationError, match=f"{test_people} test people.* 2 people"):
        split_people(two, test_people, seed=0)
