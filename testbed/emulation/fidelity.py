"""Whether a run's numbers may be believed: how far the machine fell behind what it emulates.

Limits of the verdict (section "Fidelity" of docs/architecture.md): trace steps and emulated
computations have a time at which they should happen; the 99th percentile of how much later they
happened, in emulated seconds, must stay below `DEGRADED_S` for "good" and below `INVALID_S` for
"degraded". A capture that dropped packets, an execution that gave another result when repeated, or
a query that had to fall back makes a run no better than "degraded" (each is counted).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import psutil

#: A tenth of Inception's shortest query (0.156 s) is noise in what users measure; its half is not.
DEGRADED_S = 0.015
INVALID_S = 0.075

_SAMPLE_S = 1.0


class CpuMonitor:
    """Samples how busy the machine's processors are."""

    def __init__(self) -> None:
        self.busy_share: list[float] = []

    async def run(self) -> None:
        """Sample until cancelled."""
        psutil.cpu_percent()
        while True:
            await asyncio.sleep(_SAMPLE_S)
            self.busy_share.append(psutil.cpu_percent() / 100)


def assess(
    *,
    step_late_s: Sequence[float],
    compute_late_s: Sequence[float],
    cpu_busy_share: Sequence[float],
    packets_captured: int,
    packets_dropped: int,
    capture_complete: bool = True,
    compared: int,
    unequal: int,
    fallbacks: int,
) -> dict[str, Any]:
    """Return fidelity.json: distributions, counts, the verdict and the reasons for it."""
    late = {"trace steps": step_late_s, "computations": compute_late_s}
    verdict, reasons = "good", []
    for what, values in late.items():
        worst_s = float(np.percentile(values, 99)) if len(values) else 0.0
        if worst_s > DEGRADED_S:
            verdict = "invalid" if worst_s > INVALID_S or verdict == "invalid" else "degraded"
            reasons.append(
                f"{what}: 99th percentile {worst_s * 1e3:.1f} ms late "
                f"(good up to {DEGRADED_S * 1e3:g} ms, invalid from {INVALID_S * 1e3:g} ms)"
            )
    troubles = {
        "no computation took place": not len(compute_late_s),
        "the capture ended before the run": not capture_complete,
        f"the capture dropped {packets_dropped} packets": packets_dropped,
        f"{unequal} of {compared} repeated executions gave another result": unequal,
        f"{fallbacks} queries were finished locally because a server failed": fallbacks,
    }
    for text, count in troubles.items():
        if count:
            verdict = "degraded" if verdict == "good" else verdict
            reasons.append(text)
    return {
        "verdict": verdict,
        "reasons": reasons,
        "step_late_s": distribution(step_late_s),
        "compute_late_s": distribution(compute_late_s),
        "cpu_busy_share": distribution(cpu_busy_share),
        "packets_captured": packets_captured,
        "packets_dropped": packets_dropped,
        "executions_compared": compared,
        "executions_unequal": unequal,
        "queries_fallen_back": fallbacks,
    }


def distribution(values: Sequence[float]) -> dict[str, float | int]:
    """Return count, median, 95th and 99th percentile and maximum of values."""
    if not len(values):
        return {"count": 0}
    median, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
    return {"count": len(values), "p50": median, "p95": p95, "p99": p99, "max": max(values)}
