"""The switches' own counters, polled through the controller: a second witness of the traffic.

They are read when the capture has begun, then once an interval, and when the replay has ended.
Between two handovers' steps, so that the controller has nothing else to do; on a connection of its
own, so that no handover waits for one.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from controllers.northbound import Counters, Northbound
from testbed.clock import RunClock
from testbed.errors import EmulationError
from testbed.runs.records import RecordWriter

_log = logging.getLogger(__name__)
_BEFORE_STEP = 0.5  # of an interval: handovers are at its ends


class Counting:
    """Polls until it is cancelled; only once if the controller has no counters.

    `last` are the counters at the last reading, None before the first.
    """

    def __init__(self, northbound: Northbound, records: RecordWriter) -> None:
        self._northbound = Northbound(northbound.path)
        self._records = records
        self._counts = True
        self.last: Counters | None = None

    async def read(self, time_s: float | None, *, flows: bool = False) -> None:
        """Read all counters and record those of the ports; `time_s` None before the clock runs."""
        if not self._counts:
            return
        try:
            counters = await asyncio.to_thread(self._northbound.counters, flows=flows)
        except EmulationError as error:
            _log.warning("counters are lost from here on: %s", error)
            self._counts = False
            return
        self.last = counters
        for port in counters.ports:
            self._records.append("counters", time_s=time_s, **msgspec.to_builtins(port))
        for flow in counters.flows:
            self._records.append("flow_counters", **msgspec.to_builtins(flow))

    async def run(self, clock: RunClock, interval_s: float) -> None:
        """Read in the middle of each interval."""
        step = 0
        while True:
            await asyncio.sleep(clock.wall_s((step + _BEFORE_STEP) * interval_s))
            await self.read(clock.now_s())
            step += 1

    def close(self) -> None:
        """End the connection."""
        self._northbound.close()
