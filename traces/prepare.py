"""What happens to traces before a run: cropping, resampling, and the split of the people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from testbed.arrays import FloatArray
from testbed.errors import ConfigurationError
from traces.projection import middle_deg, planar, project
from traces.recording import Recording
from traces.trace import Between, Samples, SamplesT, TraceSet, joined
from traces.window import KAIST_WINDOW, GeographicWindow, Window

TEST_PEOPLE = 31  # section IV.B simulates 31 of KAIST's people; the others train the predictor

# Samples further apart than this many intervals leave a gap; half an interval of jitter does not.
_GAP_INTERVALS = 1.5
# Samples so little (in intervals) after a step count as taken at it: times are decimal numbers.
_ROUNDING = 1e-6
_MAX_STEPS = 50_000_000  # of all traces: 1.2 GB; more come from a wrong time or a tiny interval


@dataclass(frozen=True)
class Preparation:
    """What becomes of a recording."""

    window: Window | GeographicWindow | None  # what is kept; None: everything
    interval_s: float  # step of the traces afterwards
    gap_s: float | None = None  # a longer one cuts a trace; None: 1.5 times the usual interval
    min_duration_s: float = 0.0  # shorter segments are dropped
    between: Between = "hold"  # how a position between two samples is made of them


def prepare(recording: Recording, how: Preparation) -> TraceSet:
    """Return the recording cropped, cut into unbroken segments, in steps and in metres.

    Geographic positions become metres east and north of the middle of a window in degrees, or else
    of the recording's median position. Raises ConfigurationError if nobody moves inside the window,
    or it is in degrees and the recording is not.
    """
    window, tracks = how.window, recording.tracks
    if isinstance(window, GeographicWindow) and not recording.geographic:
        raise ConfigurationError(
            f"{recording.source!r} has no latitudes and longitudes; give its window in metres"
            " (traces.window_m)"
        )
    gap_s = _GAP_INTERVALS * recording.interval_s if how.gap_s is None else how.gap_s
    if not recording.geographic:
        traces, made = _stepped(planar(tracks), how, gap_s)
    elif isinstance(window, Window):
        traces, made = _stepped(project(tracks, middle_deg(tracks)), how, gap_s)
    else:  # cropped before it is projected, which takes longer
        centre_deg = middle_deg(tracks) if window is None else window.centre_deg
        cropped, made = _stepped(tracks, how, gap_s)
        traces = project(cropped, centre_deg)
    return TraceSet(traces, recording.source, how.interval_s, made)


def _stepped(
    samples: tuple[SamplesT, ...], how: Preparation, gap_s: float
) -> tuple[tuple[SamplesT, ...], int]:
    segments = _unbroken(samples, how.window, gap_s, how.min_duration_s)
    return _in_steps(segments, how.interval_s, how.between)


def crop(traces: TraceSet, window: Window | None = KAIST_WINDOW) -> TraceSet:
    """Return the parts of the traces inside the window.

    A trace is cut where it leaves the window and where a sample is missing, never bridged; its
    segments are called NAME#0, NAME#1, ... and keep their times. Segments with one sample, which
    say nothing about movement, are dropped. Raises ConfigurationError if none is left.
    """
    segments = _unbroken(traces.traces, window, _GAP_INTERVALS * traces.interval_s)
    return replace(traces, traces=segments)


def _unbroken(
    samples: tuple[SamplesT, ...],
    window: Window | GeographicWindow | None,
    gap_s: float,
    min_duration_s: float = 0.0,
) -> tuple[SamplesT, ...]:
    segments = tuple(part for each in samples for part in _segments(each, window, gap_s))
    kept = tuple(part for part in segments if part.time_s[-1] - part.time_s[0] >= min_duration_s)
    if not segments:
        where = "at all" if window is None else f"inside {window}; {_whereabouts(samples, window)}"
        raise ConfigurationError(f"none of {len(samples)} traces moves {where}")
    if not kept:
        raise ConfigurationError(
            f"none of {len(segments)} unbroken segments lasts {min_duration_s:g} s; set"
            " traces.min_duration_s"
        )
    return kept


def _whereabouts(samples: Sequence[Samples], window: Window | GeographicWindow) -> str:
    """Say where the samples are, in the window's own coordinates."""
    east, north = joined(samples)
    x = float(east.min()), float(east.max())
    y = float(north.min()), float(north.max())
    extent = Window(*x, *y) if isinstance(window, Window) else GeographicWindow(*y, *x)
    return f"their positions are {extent}"


def _segments(
    samples: SamplesT, window: Window | GeographicWindow | None, gap_s: float
) -> list[SamplesT]:
    if window is None:
        inside = np.arange(len(samples))
    else:
        east, north = (getattr(samples, axis) for axis in samples.AXES)
        inside = np.flatnonzero(window.contains(east, north))
    left = np.diff(inside) > 1
    gap = np.diff(samples.time_s[inside]) > gap_s
    runs = [run for run in np.split(inside, np.flatnonzero(left | gap) + 1) if len(run) > 1]
    return [
        samples.segment(f"{samples.name}#{number}", run[0], run[-1] + 1)
        for number, run in enumerate(runs)
    ]


def resample(traces: TraceSet, interval_s: float, between: Between = "hold") -> TraceSet:
    """Return the traces at multiples of `interval_s`.

    Each position is held until the next sample, or interpolated linearly between the two. Traces
    that reach fewer than two of these steps are dropped. Raises ConfigurationError if the interval
    is not positive, no trace is that long, or the steps are far too many.
    """
    stepped, made = _in_steps(traces.traces, interval_s, between)
    return TraceSet(stepped, traces.source, interval_s, made)


def _in_steps(
    samples: Sequence[SamplesT], interval_s: float, between: Between
) -> tuple[tuple[SamplesT, ...], int]:
    """Return the samples at multiples of an interval, and how many of these are interpolated."""
    if not interval_s > 0:
        raise ConfigurationError(f"an interval of {interval_s:g} s must be above 0 s")
    _check_steps(samples, interval_s)
    stepped = [_at_steps(each, interval_s, 0.0, between) for each in samples]
    kept = [(each, now) for each, now in zip(samples, stepped, strict=True) if len(now) > 1]
    if not kept:
        raise ConfigurationError(f"no trace lasts for two steps of {interval_s:g} s")
    made = 0
    if between == "interpolate":
        made = sum(_between(each, now.time_s) for each, now in kept)
    return tuple(now for _, now in kept), made


def _between(samples: Samples, time_s: FloatArray) -> int:
    """Return how many of these times are not those of samples, (n,), but for rounding."""
    slack_s = _ROUNDING * (time_s[1] - time_s[0])
    near = samples.time_s.searchsorted(time_s - slack_s).clip(max=len(samples) - 1)
    return int((samples.time_s[near] > time_s + slack_s).sum())


def hold(samples: SamplesT, interval_s: float, phase_s: float = 0.0) -> SamplesT:
    """Return the trace at times `phase_s + k * interval_s` between its first and last sample.

    At each of these times the person is where the last sample at or before it says. Raises
    ConfigurationError if they are far too many.
    """
    _check_steps((samples,), interval_s)
    return _at_steps(samples, interval_s, phase_s, "hold")


def _check_steps(samples: Sequence[Samples], interval_s: float) -> None:
    """Raise ConfigurationError, before anything is allocated, for what would fill the memory."""
    with np.errstate(over="ignore"):  # infinitely many are too many as well
        lasts_s = np.array([each.time_s[-1] - each.time_s[0] for each in samples])
        steps = float((lasts_s / interval_s).sum())
    if not steps <= _MAX_STEPS:
        longest = int(lasts_s.argmax())
        raise ConfigurationError(
            f"{steps:.6g} steps of {interval_s:g} s are more than {_MAX_STEPS}; the longest trace,"
            f" {samples[longest].name!r}, lasts {lasts_s[longest]:.6g} s; set traces.interval_s to"
            " more, or traces.gap_s to less"
        )


def _at_steps(samples: SamplesT, interval_s: float, phase_s: float, between: Between) -> SamplesT:
    slack_s = _ROUNDING * interval_s
    first = np.ceil((samples.time_s[0] - phase_s - slack_s) / interval_s)
    last = np.floor((samples.time_s[-1] - phase_s + slack_s) / interval_s)
    time_s: FloatArray = phase_s + np.arange(first, last + 1) * interval_s
    return samples.at(time_s, between, slack_s)


def split_people(
    traces: TraceSet, test_people: int = TEST_PEOPLE, *, seed: int, test_segments: int | None = None
) -> tuple[TraceSet, TraceSet]:
    """Return the traces to train on and those to test with; no person is in both.

    So many people are tested, with at most `test_segments` of their traces (None: all), both drawn
    with the seed. Raises ConfigurationError if nobody is left to train on.
    """
    people = traces.people
    if not 1 <= test_people < len(people):
        raise ConfigurationError(
            f"{test_people} test people cannot be taken from the {len(people)} people of"
            f" {traces.source!r}: at least one must be tested and one left to train the predictor;"
            " set traces.test_people"
        )
    rng = np.random.default_rng(seed)
    testing = {people[index] for index in rng.permutation(len(people))[:test_people]}
    train = tuple(trace for trace in traces.traces if trace.person not in testing)
    test = tuple(trace for trace in traces.traces if trace.person in testing)
    if test_segments is not None:
        chosen = np.sort(rng.permutation(len(test))[:test_segments])
        test = tuple(test[index] for index in chosen)
    return replace(traces, traces=train), replace(traces, traces=test)
