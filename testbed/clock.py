"""Emulated time: seconds since the run's start, slower than wall time by the dilation factor.

Every process of a run holds the same `RunClock`; nothing else reads a clock for emulated time. The
processes of a machine share the kernel's monotonic clock, so they need no synchronisation; those of
other machines are told the origin on theirs (`testbed.emulation.spread.machines`).
"""

from __future__ import annotations

import asyncio
import time

import msgspec

_FINE_S = 0.0015  # an epoll wait is only good to a millisecond; the rest is slept exactly


class RunClock(msgspec.Struct, frozen=True):
    """Emulated time 0 is `origin_s` on the monotonic clock; `tdf` wall seconds make one of it."""

    origin_s: float
    tdf: float = 1.0

    def now_s(self) -> float:
        """Return the emulated time."""
        return self.at(time.monotonic())

    def at(self, monotonic_s: float) -> float:
        """Return the emulated time of an instant of the monotonic clock."""
        return (monotonic_s - self.origin_s) / self.tdf

    def monotonic_s(self, time_s: float) -> float:
        """Return the instant of the monotonic clock at an emulated time."""
        return self.origin_s + time_s * self.tdf

    def wall_s(self, time_s: float) -> float:
        """Return how many wall seconds lie between now and an emulated time (never negative)."""
        return max(0.0, self.monotonic_s(time_s) - time.monotonic())

    async def sleep_until(self, time_s: float) -> float:
        """Wait for an emulated time; return by how many emulated seconds it was missed."""
        wait_s = self.wall_s(time_s)
        if wait_s > _FINE_S:
            await asyncio.sleep(wait_s - _FINE_S)
        time.sleep(self.wall_s(time_s))
        return self.now_s() - time_s
