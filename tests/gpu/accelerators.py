"""Accelerators that tests share, and how one is run until nothing is left to do."""

from __future__ import annotations

import math

from testbed.gpu.accelerator import Accelerator, AcceleratorParameters

DEFAULTS = AcceleratorParameters()
#: Plain processor sharing, always cool.
PLAIN = AcceleratorParameters(overlap=0.0, interference=0.0, throttled_clock=1.0)
#: Heats and cools within fractions of a second.
QUICK = AcceleratorParameters(
    time_constant_s=0.4, throttle_c=75.0, resume_c=65.0, throttled_clock=0.5
)


def run_out(accelerator: Accelerator) -> dict[int, float]:
    """Let all work complete; return when each ticket did."""
    done: dict[int, float] = {}
    while (next_s := accelerator.next_completion_s()) < math.inf:
        told = accelerator.advance(next_s)
        assert told, "what is announced happens"
        assert {at_s for _, at_s in told} == {next_s}
        done |= told
    return done
