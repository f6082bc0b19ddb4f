"""Whether a run's numbers may be believed: how far the machine fell behind what it emulates.

The verdict's limits (docs/architecture/fidelity.md), times in emulated seconds:

| evidence | good up to | invalid beyond |
|---|---|---|
| lateness of trace steps, and of emulated computations: 99th percentile | 15 ms | 75 ms |
| delay in the run queue, each time a node wants a processor: 99th percentile | 15 ms | 75 ms |
| until a client that moves has its link and its routes: 99th percentile | 1 s | 5 s |
| rate of a client's link while it uploads, share of the ideal: median | from 95 % | below 85 % |

A capture that dropped packets, a full queue that should never be, an execution that gave another
result when repeated, one that a GPU had no memory for, a query that fell back, or a delay that was
asked for and is not emulated, makes a run no better than "degraded". Each is counted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from testbed.emulation.evidence.monitor import Readings, Sent

#: A tenth of Inception's shortest query (0.156 s) is noise in what users measure; its half is not.
DEGRADED_S = 0.015
INVALID_S = 0.075
#: A station that roams is without a link for tenths of a second to seconds, and here goes on at its
#: old access point meanwhile; the time to the first byte at the new one has it in.
MOVED_DEGRADED_S = 1.0
MOVED_INVALID_S = 5.0
#: Share of the ideal rate. TCP leaves a few percent where its window is still opening.
DEGRADED_RATE = 0.95
INVALID_RATE = 0.85

#: Columns of the table `gpu` that fidelity.json sums up.
GPU_READINGS = ("kernel_utilisation", "memory_utilisation", "memory_used_bytes")

_MARGIN = 1.2  # of a dilation that is offered
_VERDICTS = ("good", "degraded", "invalid")
_OPENING_S = 0.5  # of an upload: slow start
_HEADER_BYTES, _MSS_BYTES = 66, 1448  # Ethernet, IPv4 and TCP with timestamps


@dataclass(kw_only=True)
class Evidence:
    """What is known of how a run's timing was kept; times in emulated seconds.

    The run fills it as it goes; what its tables and its captures say comes at the end.

    Args:
        step_late_s: how much later than due each step of the trace was.
        moved_late_s: how long after it was due each handover's link and routes were there.
        compute_late_s: how much later than due each query's computations were, together.
        rate_shares: what clients' links carried while they uploaded, as shares of their rate.
        readings: of the machine, once a (wall) second.
        tdf: how many wall seconds an emulated one took.
        packets_captured: by the captures, and
        packets_dropped: what they missed.
        capture_complete: whether the captures went on to the end.
        compared: executions that were compared with what had been handed out, and
        unequal: those of them that gave something else.
        displaced: executions that the processors took over, since the GPU's memory was full.
        gpu: what was read of the GPU that executed, `GPU_READINGS` by name; empty without one.
        fallbacks: queries that clients finished themselves because a server failed.
        delay_missing: a delay of links is set and was not emulated.
    """

    step_late_s: list[float] = field(default_factory=list)
    moved_late_s: list[float] = field(default_factory=list)
    compute_late_s: list[float] = field(default_factory=list)
    rate_shares: list[float] = field(default_factory=list)
    readings: Readings = field(default_factory=Readings)
    tdf: float = 1.0
    packets_captured: int = 0
    packets_dropped: int = 0
    capture_complete: bool = True
    compared: int = 0
    unequal: int = 0
    displaced: int = 0
    gpu: dict[str, list[float]] = field(default_factory=dict)
    fallbacks: int = 0
    delay_missing: bool = False


def assess(evidence: Evidence) -> dict[str, Any]:
    """Return fidelity.json: the verdict, the reasons for it, distributions and counts."""
    readings = evidence.readings
    run_queue_delay_s = [each / evidence.tdf for each in readings.run_queue_delay_s]
    found = [
        _lateness("trace steps", evidence.step_late_s),
        _lateness("computations", evidence.compute_late_s),
        _lateness("in the run queue", run_queue_delay_s),
        _lateness("handovers", evidence.moved_late_s, MOVED_DEGRADED_S, MOVED_INVALID_S),
        _slowness(evidence.rate_shares),
        *((int(bool(count)), text) for text, count in _troubles(evidence).items()),
    ]
    return {
        "verdict": _VERDICTS[max(severity for severity, _ in found)],
        "reasons": [text for severity, text in found if severity],
        "step_late_s": distribution(evidence.step_late_s),
        "moved_late_s": distribution(evidence.moved_late_s),
        "compute_late_s": distribution(evidence.compute_late_s),
        "run_queue_delay_s": distribution(run_queue_delay_s),
        "rate_share": distribution(evidence.rate_shares),
        "cpu_pressure_share": distribution(readings.cpu_pressure_share),
        "cpu_busy_share": distribution(readings.cpu_busy_share),
        "monitor_cpu_share": readings.monitor_cpu_share,
        "packets_captured": evidence.packets_captured,
        "packets_dropped": evidence.packets_dropped,
        "backlog_drops": readings.backlog_drops,
        "executions_compared": evidence.compared,
        "executions_unequal": evidence.unequal,
        "executions_displaced": evidence.displaced,
        "queries_fallen_back": evidence.fallbacks,
        **{f"gpu_{name}": _extent(values) for name, values in evidence.gpu.items()},
    }


def sufficient_tdf(run_queue_delay_s: Sequence[float], tdf: float) -> float | None:
    """Return the dilation at which these delays would be good; None if they are.

    Args:
        run_queue_delay_s: of nodes, in wall seconds.
        tdf: the dilation at which they were measured.
    """
    p99_s = float(np.percentile(run_queue_delay_s, 99)) if len(run_queue_delay_s) else 0.0
    if p99_s / tdf <= DEGRADED_S:
        return None
    return math.ceil(_MARGIN * 10 * p99_s / DEGRADED_S) / 10


def _lateness(
    what: str, late_s: Sequence[float], good_s: float = DEGRADED_S, invalid_s: float = INVALID_S
) -> tuple[int, str]:
    """Return the index of the verdict that lateness alone would give, and the reason."""
    p99_s = float(np.percentile(late_s, 99)) if len(late_s) else 0.0
    return (p99_s > good_s) + (p99_s > invalid_s), (
        f"{what}: 99th percentile {p99_s * 1e3:.1f} ms late "
        f"(good up to {good_s * 1e3:g} ms, invalid beyond {invalid_s * 1e3:g} ms)"
    )


def _slowness(rate_shares: Sequence[float]) -> tuple[int, str]:
    """Return the same of the links' rates."""
    rate = float(np.median(rate_shares)) if len(rate_shares) else 1.0
    return (rate < DEGRADED_RATE) + (rate < INVALID_RATE), (
        f"busy links: median {rate:.1%} of the rate they should have "
        f"(good from {DEGRADED_RATE:.0%}, invalid below {INVALID_RATE:.0%})"
    )


def _troubles(evidence: Evidence) -> dict[str, int]:
    """Return what makes a run no better than degraded, where it is not 0."""
    drops, dropped = evidence.readings.backlog_drops, evidence.packets_dropped
    unequal, fallbacks, displaced = evidence.unequal, evidence.fallbacks, evidence.displaced
    return {
        "no computation took place": not len(evidence.compute_late_s),
        "the capture ended before the run": not evidence.capture_complete,
        f"the capture dropped {dropped} packets": dropped,
        f"the machine dropped {drops} packets between links": drops,
        f"{unequal} of {evidence.compared} executions gave another result": unequal,
        f"{displaced} executions were done on the processors: the GPU's memory was full": displaced,
        f"{fallbacks} queries were finished locally because a server failed": fallbacks,
        "a delay of links is set, which this kernel cannot emulate": evidence.delay_missing,
    }


def rate_shares(
    sent: Iterable[Sent], uploads: Iterable[tuple[str, float, float]], rate_bps: float
) -> list[float]:
    """Return what clients' links carried of their rate, for each second in which they were busy.

    Args:
        sent: the readings of each client's link.
        uploads: client, start and end of each upload, in emulated seconds; while it lasts, there
            is always something to send.
        rate_bps: of a client's uplink, counted in frames.
    """
    busy = defaultdict(list)
    for client, started_s, ended_s in uploads:
        busy[client].append((started_s + _OPENING_S, ended_s))
    readings = defaultdict(list)
    for reading in sent:
        readings[reading.client].append(reading)
    return [
        (_wire_bytes(late) - _wire_bytes(early)) * 8 / (late.time_s - early.time_s) / rate_bps
        for client, its in readings.items()
        for early, late in pairwise(its)
        if any(start <= early.time_s and late.time_s <= end for start, end in busy[client])
    ]


def _wire_bytes(sent: Sent) -> float:
    """Return bytes of frames; the interface counts a segment of several frames with one header."""
    payload = sent.bytes - _HEADER_BYTES * sent.packets
    return payload + _HEADER_BYTES * max(sent.packets, payload / _MSS_BYTES)


def _extent(values: Sequence[float]) -> dict[str, float]:
    """Return mean and greatest of values; nothing without any."""
    return {"mean": float(np.mean(values)), "max": float(max(values))} if len(values) else {}


def distribution(values: Sequence[float]) -> dict[str, float | int]:
    """Return count, least, 5th, 50th, 95th and 99th percentile and greatest of values."""
    if not len(values):
        return {"count": 0}
    points = {f"p{point}": float(np.percentile(values, point)) for point in (5, 50, 95, 99)}
    return {"count": len(values), "min": float(min(values)), **points, "max": float(max(values))}
