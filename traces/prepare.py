"""What happens to traces before a run: cropping, resampling, and the split of the people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from testbed.errors import ConfigurationError
from traces.trace import FloatArray, Trace, TraceSet
from traces.window import KAIST_WINDOW, Window

TEST_PEOPLE = 31  # section IV.B simulates 31 of KAIST's people; the others train the predictor

# Samples further apart than this many intervals leave a gap: half an interval of jitter is none.
_GAP_INTERVALS = 1.5
# Samples so little (in intervals) after a step count as taken at it: times are decimal numbers.
_ROUNDING = 1e-6


def crop(traces: TraceSet, window: Window = KAIST_WINDOW) -> TraceSet:
    """Return the parts of the traces inside the window.

    A trace is cut where it leaves the window and where a sample is missing, never bridged; its
    segments are called NAME#0, NAME#1, ... and keep their times. Segments with one sample, which
    say nothing about movement, are dropped.

    Raises:
        ConfigurationError: nobody moves inside the window.
    """
    gap_s = _GAP_INTERVALS * traces.interval_s
    segments = tuple(part for trace in traces.traces for part in _segments(trace, window, gap_s))
    if not segments:
        raise ConfigurationError(f"none of {len(traces.traces)} traces moves inside {window}")
    return replace(traces, traces=segments)


def _segments(trace: Trace, window: Window, gap_s: float) -> list[Trace]:
    inside = np.flatnonzero(window.contains(trace.x_m, trace.y_m))
    left = np.diff(inside) > 1
    gap = np.diff(trace.time_s[inside]) > gap_s
    runs = [run for run in np.split(inside, np.flatnonzero(left | gap) + 1) if len(run) > 1]
    return [
        trace.segment(f"{trace.name}#{number}", run[0], run[-1] + 1)
        for number, run in enumerate(runs)
    ]


def resample(traces: TraceSet, interval_s: float) -> TraceSet:
    """Return the traces at multiples of `interval_s`, each position held until the next sample.

    Traces that reach fewer than two of these steps are dropped.

    Raises:
        ConfigurationError: the interval is not positive, or no trace is that long.
    """
    if interval_s <= 0:
        raise ConfigurationError(f"an interval of {interval_s:g} s must be above 0 s")
    held = [hold(trace, interval_s) for trace in traces.traces]
    kept = tuple(trace for trace in held if len(trace) > 1)
    if not kept:
        raise ConfigurationError(f"no trace lasts for two steps of {interval_s:g} s")
    return TraceSet(kept, traces.source, interval_s)


def hold(trace: Trace, interval_s: float, phase_s: float = 0.0) -> Trace:
    """Return the trace at times `phase_s + k * interval_s` between its first and last sample.

    At each of these times the person is where the last sample at or before it says.
    """
    slack_s = _ROUNDING * interval_s
    first = np.ceil((trace.time_s[0] - phase_s - slack_s) / interval_s)
    last = np.floor((trace.time_s[-1] - phase_s + slack_s) / interval_s)
    time_s: FloatArray = phase_s + np.arange(first, last + 1) * interval_s
    sample = np.searchsorted(trace.time_s, time_s + slack_s, side="right") - 1
    return Trace(trace.name, trace.person, time_s, trace.x_m[sample], trace.y_m[sample])


def split_people(
    traces: TraceSet, test_people: int = TEST_PEOPLE, *, seed: int
) -> tuple[TraceSet, TraceSet]:
    """Return the traces to train on and those to test with; no person is in both.

    Raises:
        ConfigurationError: the set has too few people to leave one to train on.
    """
    people = traces.people
    if not 1 <= test_people < len(people):
        raise ConfigurationError(
            f"{test_people} test people cannot be taken from the {len(people)} people of"
            f" {traces.source!r}: at least one must be tested and one left to train the predictor;"
            " set traces.test_people"
        )
    drawn = np.random.default_rng(seed).permutation(len(people))[:test_people]
    testing = {people[index] for index in drawn}
    train = tuple(trace for trace in traces.traces if trace.person not in testing)
    test = tuple(trace for trace in traces.traces if trace.person in testing)
    return replace(traces, traces=train), replace(traces, traces=test)
