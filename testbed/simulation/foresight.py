"""What the master expects of everyone, predicted for many people and steps at once.

Where people go depends on nothing that happens in a run, so predictions can be made in large
batches; the policies are asked about one person at one step, as they are by the emulated master.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from testbed.arrays import FloatArray, IntArray
from testbed.decision.coordinator import visits
from testbed.mobility.neighbourhood import Neighbourhood
from testbed.mobility.predictor import Candidates, Predictor, histories
from testbed.simulation.surroundings import Surroundings, neighbourhood_of
from testbed.values import AccessPoint, Fix, Schedule

_MAX_ROWS = 500_000  # predicted at once; about 500 bytes each


@dataclass(frozen=True, eq=False)
class ClientPath:
    """A client's movement, by the steps of a run."""

    name: str  # of the client
    first: int  # the step of its first known position; negative before the run's start
    positions_m: FloatArray  # where it is at that step and each one after, (m, 2)
    attached: tuple[int, ...]  # index of its access point at each step from the run's start on

    @property
    def enters(self) -> int:
        """The first step at which it takes part."""
        return max(self.first, 0)

    @cached_property
    def servers(self) -> IntArray:
        """`attached`, as an array."""
        return np.array(self.attached, dtype=np.int64)

    @cached_property
    def _moves(self) -> list[int]:
        """The steps at which it comes to another access point, and when it leaves."""
        moves = np.flatnonzero(np.diff(self.servers)) + self.enters + 1
        return [*moves.tolist(), self.leaves]

    def moves_after(self, step: int) -> int:
        """Return at which step it next comes to another access point, or leaves."""
        return self._moves[bisect_right(self._moves, step)]

    @property
    def leaves(self) -> int:
        """The first step at which it no longer does."""
        return self.enters + len(self.attached)


class Foresight:
    """What a predictor expects of clients, fitted with all access points of the run.

    `reach_m` is how far from the expected place the policy looks at access points, where it says.
    """

    def __init__(
        self,
        predictor: Predictor,
        access_points: Sequence[AccessPoint],
        clients: Sequence[ClientPath],
        reach_m: float | None,
    ) -> None:
        self._predictor = predictor
        self._access_points = tuple(access_points)
        self._clients = clients
        self._around = neighbourhood_of(access_points, reach_m)
        n, memory = predictor.n, predictor.memory
        self._histories = [histories(client.positions_m, n, memory) for client in clients]
        self.steps_at_once = max(1, _MAX_ROWS // max(1, len(clients)))
        self._latest: tuple[tuple[int, int], Expected] | None = None

    def between(self, start: int, stop: int) -> Expected:
        """Return what is expected at the steps from `start` to `stop`, for all clients."""
        if self._latest is None or self._latest[0] != (start, stop):
            self._latest = (start, stop), self._between(start, stop)
        return self._latest[1]

    def _between(self, start: int, stop: int) -> Expected:
        rows, recents, attached, total = [], [], [], 0
        for client, positions in zip(self._clients, self._histories, strict=True):
            known = client.first + self._predictor.n - 1  # the step of the first row of `positions`
            since = max(start, known, client.enters)
            until = max(since, min(stop, client.leaves))
            rows.append((since, until, total - since))
            recents.append(positions[since - known : until - known])
            attached.append(client.servers[since - client.enters : until - client.enters])
            total += until - since
        return Expected(self._predictor, self._access_points, self._around, rows, recents, attached)


class Expected:
    """What is expected of all clients at some steps; made by `Foresight`."""

    def __init__(
        self,
        predictor: Predictor,
        access_points: Sequence[AccessPoint],
        around: Neighbourhood | None,
        rows: Sequence[tuple[int, int, int]],
        recents: Sequence[FloatArray],
        attached: Sequence[IntArray],
    ) -> None:
        self._predictor = predictor
        self._access_points = access_points
        self._rows = rows
        self._recents = np.concatenate(recents)
        self._attached = attached
        self._around = around

    def row(self, client: int, step: int) -> int | None:
        """Return the number of a prediction, None where too few positions are known for one."""
        since, until, offset = self._rows[client]
        return step + offset if since <= step < until else None

    @cached_property
    def lasts(self) -> list[int]:
        """For how many steps a row's client stays there and is expected at the same place."""
        attached = np.concatenate(self._attached)
        new = self.surroundings.new.copy()
        new[1:] |= attached[1:] != attached[:-1]
        new[[since + offset for since, until, offset in self._rows if until > since]] = True
        changes = np.append(np.flatnonzero(new), len(new))
        rows = np.arange(len(new))
        steps: list[int] = (changes[np.searchsorted(changes, rows, side="right")] - rows).tolist()
        return steps

    def visits(self, row: int) -> dict[str, tuple[float, ...]]:
        """Return the probabilities of visits by access point, the likeliest next first."""
        return visits(self._access_points, self._candidates, row)

    @cached_property
    def surroundings(self) -> Surroundings:
        """Where each row's client will be one interval later, and the access points around."""
        nobody = not len(self._recents)
        predicted_m = np.empty((0, 2)) if nobody else self._predictor.predict(self._recents)
        return Surroundings(self._access_points, predicted_m, self._around)

    @cached_property
    def _candidates(self) -> Candidates:
        return self._predictor.candidates(self._recents)


def clients_of(schedule: Schedule) -> list[ClientPath]:
    """Return the clients of a schedule; each takes part until its last position."""
    number = {access_point.name: index for index, access_point in enumerate(schedule.access_points)}
    fixes: dict[str, list[Fix]] = {client: [] for client in schedule.clients}
    for fix in schedule.fixes:
        fixes[fix.client].append(fix)
    moves: dict[str, list[tuple[int, int]]] = {client: [] for client in schedule.clients}
    for handover in schedule.handovers:
        step = round(handover.time_s / schedule.interval_s)
        moves[handover.client].append((step, number[handover.to_ap]))
    clients = []
    for name, its_fixes in fixes.items():
        first, last = (round(its_fixes[k].time_s / schedule.interval_s) for k in (0, -1))
        ends = [step for step, _ in moves[name][1:]] + [last + 1]
        attached = tuple(
            server
            for (step, server), end in zip(moves[name], ends, strict=True)
            for _ in range(step, end)
        )
        positions_m = np.array([(fix.x_m, fix.y_m) for fix in its_fixes])
        clients.append(ClientPath(name, first, positions_m, attached))
    return clients
