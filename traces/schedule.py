"""The movement of a run, computed once: who walks where, and who is handed over when.

All traces are aligned at their own t = 0. A run looks at them through a window and steps through it
at the traces' interval. At each step a client is where its trace's last sample says; samples in
between are made before, if at all (`traces.between_samples`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from testbed.arrays import FloatArray, IntArray
from testbed.errors import ConfigurationError
from testbed.values import AccessPoint, Fix, Handover, Schedule
from traces.nearest import attach, handover_steps
from traces.prepare import hold
from traces.trace import TraceSet

HISTORY = 4  # steps before the window: with its first one they make a trajectory of n = 5
_MAX_COUNTS = 500_000_000  # 4 GB; more come from times that are wrong
ABSENT = -1  # instead of a count of handovers: not present in the whole window

#: A time of the traces', or which window it shall be.
Start = float | Literal["busiest", "typical"]

Near = Callable[[Sequence[AccessPoint], FloatArray], Sequence[AccessPoint]]


@dataclass(frozen=True, eq=False)
class SteppedTrace:
    """A trace at the steps of a clock that ticks once an interval."""

    trace: str  # the trace's name
    first: int  # the step of the first position
    positions_m: FloatArray  # at `first` and each step after it, (n, 2)
    attached: IntArray  # the index of the access point at each of these steps, (n,)

    def between(self, start: int, stop: int) -> SteppedTrace:
        """Return the part from step `start` to step `stop` (exclusive) that there is."""
        part = slice(max(start - self.first, 0), max(stop - self.first, 0))
        first = max(start, self.first)
        return SteppedTrace(self.trace, first, self.positions_m[part], self.attached[part])


def build_schedule(
    traces: TraceSet,
    access_points: Sequence[AccessPoint],
    *,
    clients: int,
    start: Start,
    duration_s: float,
    near: Near,
    history: int = HISTORY,
    past_steps: int | None = None,
) -> Schedule:
    """Return the movement of the people with most handovers in a window of the traces.

    They are called c1, c2, ... from most handovers to fewest, are present throughout, and attach to
    the nearest access point. The window starts at a time of the traces' own, or is the "busiest":
    at the multiple of the interval at which the chosen people have most handovers in total and so
    many steps of `history` each before it, the earliest among equals. In the "typical" window they
    have the median of all windows, in the middle one among equals.

    `near` returns the access points that people at given positions, (n, 2), can come near; the
    schedule keeps these and all that someone attaches to. It tells of `past_steps` before the
    window, if there are any; None: `history`. Raises ConfigurationError if a value is out of range,
    or too few people are present throughout.
    """
    _check(clients, start, duration_s)
    interval_s = traces.interval_s
    steps = int(np.ceil(duration_s / interval_s))
    phase_s = 0.0 if isinstance(start, str) else start % interval_s
    walks = take_walks(traces, access_points, phase_s)
    counts = count_handovers(walks, steps, history if isinstance(start, str) else 0)
    first = first_step(counts, clients, start, interval_s)
    in_window = counts[:, first] if first < counts.shape[1] else np.full(len(walks), ABSENT)
    if (present := int((in_window != ABSENT).sum())) < clients:
        when = "at any time" if isinstance(start, str) else f"from {start:g} s on"
        raise ConfigurationError(
            f"{clients} clients for {duration_s:g} s cannot be taken from {traces.source!r}:"
            f" no more than {present} people are present throughout {when};"
            " take fewer clients or a shorter duration"
        )
    busiest = np.argsort(-in_window, kind="stable")[:clients]
    chosen = {f"c{rank}": walks[index] for rank, index in enumerate(busiest, start=1)}
    moves = {client: walk.between(first, first + steps) for client, walk in chosen.items()}
    since = first - (history if past_steps is None else past_steps)
    known = {client: walk.between(since, first + steps) for client, walk in chosen.items()}
    return Schedule(
        source=traces.source,
        start_s=phase_s + first * interval_s,
        duration_s=duration_s,
        interval_s=interval_s,
        access_points=_keep(access_points, moves, near),
        clients={client: walk.trace for client, walk in chosen.items()},
        fixes=_fixes(known, first, interval_s),
        handovers=_handovers(moves, first, interval_s, access_points),
        interpolated=traces.interpolated,
    )


def whole_schedule(traces: TraceSet, access_points: Sequence[AccessPoint]) -> Schedule:
    """Return the movement of everyone from first to last position, among all access points.

    They are called c1, c2, ... in the traces' order, and each takes part while its trace lasts.
    Raises ConfigurationError if there are no traces or no access points.
    """
    interval_s = traces.interval_s
    walks = take_walks(traces, access_points)
    if not walks:
        raise ConfigurationError(f"{traces.source!r} holds nobody whose whole trace can be taken")
    moves = {f"c{number}": walk for number, walk in enumerate(walks, start=1)}
    return Schedule(
        source=traces.source,
        start_s=0.0,
        duration_s=max(walk.first + len(walk.attached) for walk in walks) * interval_s,
        interval_s=interval_s,
        access_points=tuple(access_points),
        clients={client: walk.trace for client, walk in moves.items()},
        fixes=_fixes(moves, 0, interval_s),
        handovers=_handovers(moves, 0, interval_s, access_points),
        interpolated=traces.interpolated,
    )


def past_of(
    schedule: Schedule, traces: TraceSet, access_points: Sequence[AccessPoint]
) -> Schedule | None:
    """Return the movement of a schedule's clients from their traces' beginnings until its start.

    It is among all of these access points and has the same clients, but for those who come later;
    None where there is nobody before.
    """
    interval_s = schedule.interval_s
    phase_s = schedule.start_s % interval_s
    stop = round((schedule.start_s - phase_s) / interval_s)
    theirs = {*schedule.clients.values()}
    traces = replace(traces, traces=tuple(t for t in traces.traces if t.name in theirs))
    walks = {walk.trace: walk for walk in take_walks(traces, access_points, phase_s)}
    before = {client: walks[trace].between(0, stop) for client, trace in schedule.clients.items()}
    moves = {client: walk for client, walk in before.items() if len(walk.attached)}
    if not moves:
        return None
    first = min(walk.first for walk in moves.values())
    return Schedule(
        source=schedule.source,
        start_s=phase_s + first * interval_s,
        duration_s=(stop - first) * interval_s,
        interval_s=interval_s,
        access_points=tuple(access_points),
        clients={client: schedule.clients[client] for client in moves},
        fixes=_fixes(moves, first, interval_s),
        handovers=_handovers(moves, first, interval_s, access_points),
    )


def take_walks(
    traces: TraceSet, access_points: Sequence[AccessPoint], phase_s: float = 0.0
) -> list[SteppedTrace]:
    """Return the traces at steps `phase_s + k * interval_s`, attached to access points.

    Traces that fall between two steps are left out. Raises ConfigurationError if there are no
    access points.
    """
    interval_s = traces.interval_s
    ap_x_m = np.array([ap.x_m for ap in access_points])
    ap_y_m = np.array([ap.y_m for ap in access_points])
    stepped = (hold(trace, interval_s, phase_s) for trace in traces.traces)
    if not (held := [trace for trace in stepped if len(trace)]):
        return []
    positions_m = [trace.positions_m for trace in held]
    x_m, y_m = np.concatenate(positions_m).T
    attached = attach(x_m, y_m, ap_x_m, ap_y_m)
    ends = np.cumsum([len(trace) for trace in held])[:-1]
    return [
        SteppedTrace(trace.name, round((trace.time_s[0] - phase_s) / interval_s), path_m, servers)
        for trace, path_m, servers in zip(held, positions_m, np.split(attached, ends), strict=True)
    ]


def count_handovers(walks: Sequence[SteppedTrace], steps: int, history: int = 0) -> IntArray:
    """Return each walk's handovers in the window of `steps` from each step, (walks, steps).

    `ABSENT` stands where a walk does not last through the window and the `history` before it.
    Raises ConfigurationError if the walks end so late that these are far too many.
    """
    end = max((walk.first + len(walk.attached) for walk in walks), default=0)
    windows = max(end - steps + 1, 1)
    if len(walks) * windows > _MAX_COUNTS:
        raise ConfigurationError(
            f"{len(walks)} traces that last until step {end} have more than {_MAX_COUNTS} windows"
            " to choose from; set traces.interval_s or traces.min_duration_s to more, or check the"
            " times of the last samples"
        )
    counts = np.full((len(walks), windows), ABSENT, dtype=np.int64)
    for row, walk in zip(counts, walks, strict=True):
        moved = np.zeros(len(walk.attached), dtype=np.int64)
        moved[handover_steps(walk.attached)] = 1
        total = moved.cumsum()  # handovers since the walk began
        own = len(total) - steps + 1
        if own > history:
            in_window = total[steps - 1 :] - total[:own]
            row[walk.first + history : walk.first + own] = in_window[history:]
    return counts


def first_step(counts: IntArray, clients: int, start: Start, interval_s: float) -> int:
    """Return the step of a window that starts at a time, or is found out.

    Of its `clients` busiest walks it then has most handovers ("busiest"), or the median of all
    windows ("typical"); where no window has so many walks, it is the one that has most of them.
    """
    if not isinstance(start, str):
        return int(start // interval_s)
    present = (counts != ABSENT).sum(axis=0)
    if present.max(initial=0) < clients:
        return int(present.argmax())
    total = np.sort(counts, axis=0)[-clients:].sum(axis=0)
    total = np.where(present >= clients, total, ABSENT)
    if start == "busiest":
        return int(total.argmax())
    moving = np.sort(total[total > 0])
    if not len(moving):  # nobody moves at any time
        return int(total.argmax())
    typical = np.flatnonzero(total == moving[len(moving) // 2])
    return int(typical[len(typical) // 2])


def _check(clients: int, start: Start, duration_s: float) -> None:
    if clients < 1:
        raise ConfigurationError(f"{clients} clients are too few; a run needs at least 1")
    if not duration_s > 0:
        raise ConfigurationError(f"a duration of {duration_s:g} s must be above 0 s")
    if not isinstance(start, str) and not start >= 0:
        raise ConfigurationError(f"a start at {start:g} s lies before the traces begin, at 0 s")


def _keep(
    access_points: Sequence[AccessPoint], moves: Mapping[str, SteppedTrace], near: Near
) -> tuple[AccessPoint, ...]:
    """Return, in their order, the access points near any client or with one attached."""
    positions_m = np.concatenate([walk.positions_m for walk in moves.values()])
    used = np.unique(np.concatenate([walk.attached for walk in moves.values()]))
    names = {ap.name for ap in near(access_points, positions_m)}
    names |= {access_points[index].name for index in used}
    return tuple(ap for ap in access_points if ap.name in names)


def _fixes(
    past_steps: Mapping[str, SteppedTrace], start: int, interval_s: float
) -> tuple[Fix, ...]:
    """Return all positions, sorted by time and then in the clients' order."""
    fixes = [
        Fix(client, (walk.first - start + step) * interval_s, float(x_m), float(y_m))
        for client, walk in past_steps.items()
        for step, (x_m, y_m) in enumerate(walk.positions_m)
    ]
    return tuple(sorted(fixes, key=lambda fix: fix.time_s))


def _handovers(
    moves: Mapping[str, SteppedTrace],
    start: int,
    interval_s: float,
    access_points: Sequence[AccessPoint],
) -> tuple[Handover, ...]:
    """Return first attachments and changes, sorted by time and then in the clients' order."""
    handovers = []
    for client, walk in moves.items():
        names = [access_points[index].name for index in walk.attached]
        for step in (0, *handover_steps(walk.attached).tolist()):
            time_s = float(walk.first - start + step) * interval_s
            before = names[step - 1] if step else None
            handovers.append(Handover(client, time_s, before, names[step]))
    return tuple(sorted(handovers, key=lambda handover: handover.time_s))
