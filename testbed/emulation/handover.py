"""Carrying out the schedule: clients move when it says, and every handover is timed.

A handover breaks before it makes, as Wi-Fi does: the radio leaves one access point's BSS and joins
another's, the switches send the client's address to its new place, and the client is told. Four
clocks time it: the trace's, the link's move, the switches' confirmation (barrier), and the first
byte that the client hears from the new edge server. Where a client goes, `association` says.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from itertools import count
from typing import Any, TypeVar

import msgspec

from controllers.northbound import Northbound
from nodes.control import Associated, Attached, Position
from testbed.clock import RunClock
from testbed.emulation.association import Association
from testbed.emulation.evidence.fidelity import Evidence
from testbed.emulation.network.network import EmulatedNetwork
from testbed.emulation.processes import Nodes
from testbed.runs.records import RecordWriter
from testbed.settings.experiment import Wireless
from testbed.values import Fix, Handover, Schedule

T = TypeVar("T")


class Handovers:
    """Replays a schedule on the emulated network and records its handovers.

    `thread` is the one that touches the network; `evidence` notes how late steps and moves were.
    """

    def __init__(
        self,
        schedule: Schedule,
        network: EmulatedNetwork,
        thread: Executor,
        northbound: Northbound,
        wireless: Wireless,
        records: RecordWriter,
        evidence: Evidence,
    ) -> None:
        self._schedule = schedule
        self._network = network
        self._thread = thread
        self._northbound = northbound
        self._association_delay_s = wireless.association_delay_s
        self._records = records
        self._numbers = count(len(schedule.handovers))  # of those that the schedule has not
        self.association = Association(wireless, schedule.access_points)
        self._rows: dict[int, dict[str, Any]] = {}
        self._evidence = evidence
        self._nodes: Nodes
        self._clock: RunClock
        self.done = 0

    async def place_clients(self) -> None:
        """Associate every client with its first access point, before the run."""
        for handover in self._schedule.handovers:
            if handover.from_ap is None:
                await self._move(handover)

    async def replay(self, nodes: Nodes, clock: RunClock) -> None:
        """Do at each step of the schedule first the handovers, then tell the positions."""
        self._nodes, self._clock = nodes, clock
        fixes = [fix for fix in self._schedule.fixes if fix.time_s >= 0]
        handovers = {(h.client, h.time_s): (n, h) for n, h in enumerate(self._schedule.handovers)}
        for step_s in sorted({fix.time_s for fix in fixes}):
            self._evidence.step_late_s.append(await clock.sleep_until(step_s))
            now = (fix for fix in fixes if fix.time_s == step_s)
            steps = (self._step(fix, handovers.get((fix.client, step_s))) for fix in now)
            await asyncio.gather(*steps)

    async def _step(self, fix: Fix, scheduled: tuple[int, Handover] | None) -> None:
        """Move a client that changes its access point, then tell it where it is."""
        number, item = scheduled or (next(self._numbers), None)
        handover = await self.association.next(fix, item, number, self._nodes, self._clock)
        if handover is not None:
            await self._hand_over(number, handover)
        self._nodes.tell(fix.client, Position(fix.time_s, fix.x_m, fix.y_m))

    def attached(self, message: Attached) -> bool:
        """Complete a handover's row with what the client found at its new server.

        Returns whether it moved there, which a first attachment is not.
        """
        found = msgspec.structs.asdict(message)
        row = self._rows[found.pop("handover")]
        row |= found
        self._write(message.handover)
        return row["from_ap"] is not None

    def close(self) -> None:
        """Write the rows of clients that moved on before they heard their new server."""
        for number in list(self._rows):
            self._write(number)

    async def _hand_over(self, number: int, handover: Handover) -> None:
        clock = self._clock
        if handover.from_ap is not None and self._association_delay_s:
            await self._in_thread(self._network.air.dissociate, handover.client)
            await clock.sleep_until(clock.now_s() + self._association_delay_s)
        due_s = clock.now_s()
        moved_s, routed_s = await self._move(handover)
        self._evidence.moved_late_s.append(clock.at(routed_s) - due_s)
        self._rows[number] = {
            "client": handover.client,
            "from_ap": handover.from_ap,
            "to_ap": handover.to_ap,
            "trace_s": handover.time_s,
            "moved_s": clock.at(moved_s),
            "routed_s": clock.at(routed_s),
            "first_byte_s": None,
            "present_bytes": 0,
            "wanted_bytes": 0,
            "hit": False,
        }
        self.association.associated(handover.client, handover.to_ap)
        self._nodes.tell(handover.client, Associated(handover.to_ap, number))
        self.done += handover.from_ap is not None

    async def _in_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    async def _move(self, handover: Handover) -> tuple[float, float]:
        """Move link and route; return when each was done, on the monotonic clock."""
        client, access_point = handover.client, handover.to_ap
        await self._in_thread(self._network.air.associate, client, access_point)
        moved_s = time.monotonic()
        # In a thread of its own, while the next client's link is being moved
        await asyncio.to_thread(self._route, client, access_point, handover.from_ap)
        return moved_s, time.monotonic()

    def _route(self, client: str, to_ap: str, from_ap: str | None) -> None:
        """Send a client's packets to its new place; return when none goes to the old one."""
        self._northbound.move(client, to_ap)
        if from_ap is not None:
            self._network.forget_cached_flows((to_ap, from_ap))

    def _write(self, number: int) -> None:
        self._records.append("handovers", **self._rows.pop(number))
