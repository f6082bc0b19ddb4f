"""The runtime network speed (section III.C.2): what a client's link has carried lately.

The edge server reads how fast the tensors of queries arrive, the client how fast those of answers
do. Plans suppose the configured rates until a link has been read, and its goodput from then on.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

#: A body of fewer bytes lies in the link's queue whole, and tells nothing of its rate.
FEWEST_BYTES = 1 << 16
#: So many of the last readings are averaged: a computer that is late by 5 ms errs by 3 % for one
#: input of Inception's.
READINGS = 3
#: Rates to plan with are so far apart: goodput that hardly differs leads to the same plans.
STEP = 1.1


class Reading(NamedTuple):
    """So many bytes arrived one after the other in so many seconds."""

    size_bytes: int
    seconds: float

    def undilated(self, tdf: float) -> Reading:
        """Return it in emulated time, read in wall time under a dilation."""
        return self._replace(seconds=self.seconds / tdf)


class Goodput:
    """The goodput of one direction of a link, at first as supposed, and in steps from there.

    A reading counts for `holds_s`: a client that offloads no more, since its link was slow,
    supposes the first rate again after that.
    """

    def __init__(self, supposed_bps: float, holds_s: float) -> None:
        self._supposed_bps = supposed_bps
        self._holds_s = holds_s
        self._readings: deque[tuple[float, Reading]] = deque(maxlen=READINGS)

    def read(self, reading: Reading, now_s: float) -> None:
        """Take in what has just arrived; of small bodies nothing."""
        if reading.size_bytes >= FEWEST_BYTES and reading.seconds > 0:
            self._readings.append((now_s, reading))

    def bps(self, now_s: float) -> float:
        """Return the rate to plan with, in bit/s."""
        while self._readings and self._readings[0][0] < now_s - self._holds_s:
            self._readings.popleft()
        if not self._readings:
            return self._supposed_bps
        seconds = sum(reading.seconds for _, reading in self._readings)
        mean_bps = 8 * sum(reading.size_bytes for _, reading in self._readings) / seconds
        steps = round(math.log(mean_bps / self._supposed_bps, STEP))
        return float(self._supposed_bps * STEP**steps)


class LinkGoodput:
    """Both directions of one client's link to an access point."""

    def __init__(self, up_bps: float, down_bps: float, holds_s: float) -> None:
        self.up = Goodput(up_bps, holds_s)
        self.down = Goodput(down_bps, holds_s)

    def rates_bps(self, now_s: float) -> tuple[float, float]:
        """Return the rates to plan with, (up, down) bit/s."""
        return self.up.bps(now_s), self.down.bps(now_s)
