"""Whether a run's numbers may be believed: how far the machine fell behind what it emulates.

The verdict's limits (section "Fidelity" of docs/architecture.md), times in emulated seconds:

| evidence | good up to | invalid beyond |
|---|---|---|
| lateness of trace steps, and of emulated computations: 99th percentile | 15 ms | 75 ms |
| delay in the run queue, each time a node wants a processor: 99th percentile | 15 ms | 75 ms |
| until a client that moves has its link and its routes: 99th percentile | 1 s | 5 s |
| rate of a client's link while it uploads, share of the ideal: median | 95 % | 85 % |

A capture that dropped packets, a full queue that should never be, an execution that gave another
result when repeated, a query that fell back, or a delay that was asked for and is not emulated,
makes a run no better than "degraded". Each is counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from testbed.emulation.monitor import Readings, Sent

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

_VERDICTS = ("good", "degraded", "invalid")
_OPENING_S = 0.5  # of an upload: slow start
_HEADER_BYTES, _MSS_BYTES = 66, 1448  # Ethernet, IPv4 and TCP with timestamps


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of how a run's timing was kept; times in emulated seconds.

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
        compared: executions that were repeated, and
        unequal: those of them that gave another result.
        fallbacks: queries that clients finished themselves because a server failed.
        delay_missing: a delay of links is set and was not emulated.
    """

    step_late_s: Sequence[float] = ()
    moved_late_s: Sequence[float] = ()
    compute_late_s: Sequence[float] = ()
    rate_shares: Sequence[float] = ()
    readings: Readings = field(default_factory=Readings)
    tdf: float = 1.0
    packets_captured: int = 0
    packets_dropped: int = 0
    capture_complete: bool = True
    compared: int = 0
    unequal: int = 0
    fallbacks: int = 0
    delay_missing: bool = False


def assess(evidence: Evidence) -> dict[str, Any]:
    """Return fidelity.json: the verdict, the reasons for it, distributions and counts."""
    readings = evidence.readings
    run_queue_delay_s = [each / evidence.tdf for each in readings.run_queue_delay_s]
    late = {
        "trace steps": (evidence.step_late_s, DEGRADED_S, INVALID_S),
        "computations": (evidence.compute_late_s, DEGRADED_S, INVALID_S),
        "in the run queue": (run_queue_delay_s, DEGRADED_S, INVALID_S),
        "handovers": (evidence.moved_late_s, MOVED_DEGRADED_S, MOVED_INVALID_S),
    }
    worst, reasons = 0, []
    for what, (values, degraded_s, invalid_s) in late.items():
        late_s = float(np.percentile(values, 99)) if len(values) else 0.0
        if late_s > degraded_s:
            worst = max(worst, 2 if late_s > invalid_s else 1)
            reasons.append(
                f"{what}: 99th percentile {late_s * 1e3:.1f} ms late "
                f"(good up to {degraded_s * 1e3:g} ms, invalid from {invalid_s * 1e3:g} ms)"
            )
    rate = float(np.median(evidence.rate_shares)) if len(evidence.rate_shares) else 1.0
    if rate < DEGRADED_RATE:
        worst = max(worst, 2 if rate < INVALID_RATE else 1)
        reasons.append(
            f"busy links: median {rate:.1%} of the rate they should have "
            f"(good from {DEGRADED_RATE:.0%}, invalid below {INVALID_RATE:.0%})"
        )
    troubles = {
        "no computation took place": not len(evidence.compute_late_s),
        "the capture ended before the run": not evidence.capture_complete,
        f"the capture dropped {evidence.packets_dropped} packets": evidence.packets_dropped,
        f"the machine dropped {readings.backlog_drops} packets between links": (
            readings.backlog_drops
        ),
        f"{evidence.unequal} of {evidence.compared} repeated executions gave another result": (
            evidence.unequal
        ),
        f"{evidence.fallbacks} queries were finished locally because a server failed": (
            evidence.fallbacks
        ),
        "a delay of links is set, which this kernel cannot emulate": evidence.delay_missing,
    }
    for text, count in troubles.items():
        if count:
            worst = max(worst, 1)
            reasons.append(text)
    return {
        "verdict": _VERDICTS[worst],
        "reasons": reasons,
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
        "queries_fallen_back": evidence.fallbacks,
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


def distribution(values: Sequence[float]) -> dict[str, float | int]:
    """Return count, least, 5th, 50th, 95th and 99th percentile and greatest of values."""
    if not len(values):
        return {"count": 0}
    p5, p50, p95, p99 = (float(value) for value in np.percentile(values, (5, 50, 95, 99)))
    return {
        "count": len(values),
        "min": float(min(values)),
        "p5": p5,
        "p50": p50,
        "p95": p95,
        "p99": p99,
        "max": float(max(values)),
    }
