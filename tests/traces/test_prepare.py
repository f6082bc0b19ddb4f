from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from traces.prepare import Preparation, crop, hold, prepare, resample, split_people
from traces.recording import Recording, Track
from traces.trace import Trace, TraceSet
from traces.window import KAIST_WINDOW, GeographicWindow, Window

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


def recording(*tracks: Track, geographic: bool = False) -> Recording:
    return Recording(tracks, "hand-made", "csv", geographic=geographic)


def track(name: str, time_s: Sequence[float], x: Sequence[float], y: float = 5.0) -> Track:
    return Track(name, name, np.array(time_s, float), np.array(x, float), np.full(len(x), y))


def prepared(*tracks: Track, geographic: bool = False, **how: Any) -> TraceSet:
    arguments = {"window": None, "interval_s": 30.0} | how
    return prepare(recording(*tracks, geographic=geographic), Preparation(**arguments))


def test_without_a_window_everything_is_kept() -> None:
    traces = prepared(track("a", range(0, 150, 30), [0, 1e6, 0, -1e6, 0]))
    assert [trace.name for trace in traces.traces] == ["a#0"]
    assert traces.traces[0].x_m.tolist() == [0, 1e6, 0, -1e6, 0]
    assert (traces.source, traces.interval_s) == ("hand-made", 30)


def test_gap_is_a_setting() -> None:
    walk = track("a", [0, 30, 60, 120, 150], range(5))
    assert [len(part) for part in prepared(walk).traces] == [3, 2]
    assert [len(part) for part in prepared(walk, gap_s=60).traces] == [6]
    with pytest.raises(ConfigurationError, match="none of 1 traces moves at all"):
        prepared(walk, gap_s=10)


def test_short_segments_are_dropped() -> None:
    walk = track("a", [0, 30, 60, 120, 150], range(5))
    assert [part.name for part in prepared(walk, min_duration_s=60).traces] == ["a#0"]
    with pytest.raises(ConfigurationError, match=r"none of 2 .* lasts 61 s.*min_duration_s"):
        prepared(walk, min_duration_s=61)


def test_positions_are_interpolated_where_asked_for() -> None:
    walk = track("a", [0, 20, 40, 80], [0, 10, 10, 30])
    (held,) = prepared(walk, gap_s=60).traces
    (moved,) = prepared(walk, gap_s=60, between="interpolate").traces
    assert held.time_s.tolist() == moved.time_s.tolist() == [0, 30, 60]
    assert held.x_m.tolist() == [0, 10, 10]
    assert moved.x_m.tolist() == [0, 10, 20]


def test_interpolation_does_not_bridge_gaps() -> None:
    walk = track("a", [0, 10, 20, 30, 90, 100, 110, 120], [0, 1, 2, 3, 100, 101, 102, 103])
    traces = prepared(walk, interval_s=10, between="interpolate")
    assert [trace.time_s.tolist() for trace in traces.traces] == [
        [0, 10, 20, 30],
        [90, 100, 110, 120],
    ]


def test_interpolation_of_random_walks_lies_between_their_samples() -> None:
    rng = np.random.default_rng(0)
    time_s = np.cumsum(rng.uniform(1, 20, 300))
    walk = track("a", time_s, rng.normal(0, 100, 300))
    (moved,) = prepared(walk, gap_s=60, interval_s=7, between="interpolate").traces
    after = np.searchsorted(time_s, moved.time_s)
    ends = np.sort([walk.x[after - 1], walk.x[after]], axis=0)
    assert ((ends[0] - 1e-9 <= moved.x_m) & (moved.x_m <= ends[1] + 1e-9)).all()


def test_geographic_tracks_are_cropped_in_degrees() -> None:
    walk = track("a", range(0, 150, 30), [127.0, 127.001, 127.01, 127.001, 127.002], y=36.0)
    window = GeographicWindow(35.9, 36.1, 126.9, 127.005)
    traces = prepared(walk, geographic=True, window=window).traces
    assert [trace.name for trace in traces] == ["a#0", "a#1"]
    assert np.diff(traces[0].x_m) == pytest.approx(90.16, abs=0.01)
    with pytest.raises(ConfigurationError, match="no latitudes and longitudes"):
        prepared(walk, window=window)


def test_geographic_tracks_are_cropped_in_metres_around_their_middle() -> None:
    walk = track("a", range(0, 150, 30), [127.0, 127.001, 127.002, 127.003, 127.004], y=36.0)
    (trace,) = prepared(walk, geographic=True, window=Window(-100, 100, -1, 1)).traces
    assert trace.x_m == pytest.approx([-90.16, 0, 90.16], abs=0.01)


def test_only_so_many_segments_are_tested_and_all_others_still_train() -> None:
    traces = trace_set(
        *(Trace(f"{p}#{k}", p, *(np.arange(2.0),) * 3) for p in "abcd" for k in range(5))
    )
    train, test = split_people(traces, 2, seed=1)
    fewer_train, fewer = split_people(traces, 2, seed=1, test_segments=3)
    assert (len(train.traces), len(test.traces)) == (10, 10)
    assert fewer_train.traces == train.traces
    assert len(fewer.traces) == 3
    names = [trace.name for trace in test.traces]
    assert [name for name in names if name in {t.name for t in fewer.traces}] == [
        trace.name for trace in fewer.traces
    ]
    again = split_people(traces, 2, seed=1, test_segments=3)[1]
    assert again.traces == fewer.traces
    assert split_people(traces, 2, seed=1, test_segments=99)[1].traces == test.traces


@pytest.mark.parametrize(
    ("times", "how", "what"),
    [
        ([0, 30, 1e18], {"gap_s": 1e19}, "3.33333e+16 steps of 30 s.*lasts 1e+18 s"),
        ([0, 30, 1e300], {"gap_s": 1e301, "interval_s": 1e-9}, "inf steps of 1e-09 s"),
        ([0, 30, 60], {"interval_s": 1e-9}, "1.2e+11 steps of 1e-09 s"),
    ],
)
def test_far_too_many_steps_are_refused_before_they_fill_the_memory(
    times: list[float], how: dict[str, float], what: str
) -> None:
    walk, longer = track("a", [0, 30, 60], range(3)), track("b", times, range(3))
    what = what.replace("+", "[+]")
    with pytest.raises(ConfigurationError, match=f"{what}.*traces.interval_s.*traces.gap_s"):
        prepared(walk, longer, **({"gap_s": 60} | how))


def test_steps_of_all_traces_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("traces.prepare._MAX_STEPS", 5)
    walk = trace("a", [0, 30, 60, 90], range(4))
    assert len(resample(trace_set(walk), 30).traces) == 1
    with pytest.raises(ConfigurationError, match=r"6 steps of 30 s are more than 5; .* 'a'"):
        resample(trace_set(walk, walk), 30)
    with pytest.raises(ConfigurationError, match="9 steps"):
        hold(walk, 10)


def test_message_says_where_window_and_traces_are() -> None:
    walk = trace("a", [0, 30], [20, 30.5])
    with pytest.raises(
        ConfigurationError,
        match=r"inside x 0 to 10 m, y 0 to 10 m; their positions are x 20 to 30\.5 m, y 5 to 5 m",
    ):
        crop(trace_set(walk), UNIT)
    window = GeographicWindow(35.9, 36.1, 126.9, 127.005123)
    with pytest.raises(
        ConfigurationError,
        match=r"inside latitude 35\.9 to 36\.1, longitude 126\.9 to 127\.005123 deg; their"
        " positions are latitude 5 to 5, longitude 1 to 2 deg",
    ):
        prepared(track("a", [0, 30], [1, 2]), geographic=True, window=window)


@pytest.mark.parametrize("lon_deg", [-170.0, 190.0])
def test_window_in_degrees_holds_longitudes_counted_beyond_180(lon_deg: float) -> None:
    window = GeographicWindow(-1, 1, -171, -169)
    assert window.contains(np.array([lon_deg]), np.zeros(1)).all()
    assert not window.contains(np.array([lon_deg + 2]), np.zeros(1)).any()
