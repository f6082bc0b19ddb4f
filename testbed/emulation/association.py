"""Which access point each client's radio is associated with, and which it goes to next.

`nearest`: the schedule's (`traces.nearest.attach`). `least_time`: at each handover of the schedule,
and where its access point has come out of range, a client lets the master choose
(`Coordinator.choose`) among those that it sees, over the link that it still has (section III.C.2).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from nodes.control import Chosen, InRange
from testbed.clock import RunClock
from testbed.emulation.processes import Nodes
from testbed.settings.experiment import Wireless
from testbed.values import AccessPoint, Fix, Handover, names_around

_log = logging.getLogger(__name__)

#: Emulated time that a choice may take before the client goes to the nearest; it takes some 10 ms,
#: or as long as the master waits for the servers' loads.
_CHOICE_S = 1.0


class Association:
    """The clients' access points, of those that were brought up."""

    def __init__(self, settings: Wireless, access_points: Sequence[AccessPoint]) -> None:
        self._settings = settings
        self._access_points = access_points
        self._current: dict[str, str] = {}
        self._choosing: dict[int, asyncio.Future[str]] = {}  # by handover

    def associated(self, client: str, access_point: str) -> None:
        """The client is there now."""
        self._current[client] = access_point

    async def next(
        self, fix: Fix, scheduled: Handover | None, number: int, nodes: Nodes, clock: RunClock
    ) -> Handover | None:
        """Return the handover of a client that is now at a position, None if it stays.

        `scheduled` is what the schedule has for it at this step, `number` that of any handover.
        """
        current = self._current.get(fix.client)
        if current is None or self._settings.association == "nearest":
            return scheduled
        visible = names_around(self._access_points, fix.x_m, fix.y_m, self._settings.range_m)
        if scheduled is None:
            if current in visible or not visible:
                return None
        elif not visible:
            visible = [scheduled.to_ap]
        chosen = visible[0]
        if len(visible) > 1:
            chosen = await self._choose(fix.client, visible, number, nodes, clock)
        return None if chosen == current else Handover(fix.client, fix.time_s, current, chosen)

    def chosen(self, choice: Chosen) -> None:
        """Take a client's choice; one that comes too late is ignored."""
        choosing = self._choosing.get(choice.handover)
        if choosing is not None and not choosing.done():
            choosing.set_result(choice.access_point)

    async def _choose(
        self, client: str, visible: list[str], number: int, nodes: Nodes, clock: RunClock
    ) -> str:
        choosing: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._choosing[number] = choosing
        nodes.tell(client, InRange(number, tuple(visible)))
        try:
            chosen = await asyncio.wait_for(choosing, _CHOICE_S * clock.tdf)
        except asyncio.TimeoutError:
            _log.warning("%s got no choice within %g s and goes to the nearest", client, _CHOICE_S)
            return visible[0]
        finally:
            del self._choosing[number]
        if chosen not in visible:
            _log.warning("%s cannot see %s and goes to the nearest", client, chosen)
            return visible[0]
        return chosen
