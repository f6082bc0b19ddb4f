"""The simulator on whole data sets, with the paper's network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd
from msgspec.structs import replace

from testbed.analysis.traffic.crowding import peaks, share_under
from testbed.arrays import FloatArray
from testbed.decision.policies import build_policy, predictor_name
from testbed.movement import People
from testbed.settings.experiment import Experiment, Simulation, changed
from testbed.simulation.fluid.carrier import Unlimited
from testbed.simulation.foresight import ClientPath, Foresight, clients_of
from testbed.simulation.log import Log, Moved
from testbed.simulation.offloading import Offloading, offloading_of
from testbed.simulation.rows import backhaul_of
from testbed.simulation.simulated_run import SimulatedRun, foresight_of
from testbed.studies.findings import say
from testbed.studies.study import Context
from traces.schedule import whole_schedule
from traces.trace import TraceSet

#: Migrations take no time, queries and uploads do not share the uplink, links carry no headers.
PAPERS_NETWORK = Simulation(sharing="separate", backhaul="unlimited", headers=False)


class Contender(NamedTuple):
    """A policy as the figures name it."""

    label: str
    policy: str
    radius_m: float = 50.0

    def applied(self, settings: Experiment) -> Experiment:
        """Return the settings with this policy, in the paper's network."""
        policy = {"migration.policy": self.policy, "migration.radius_m": self.radius_m}
        return chosen(settings, policy)


@dataclass(frozen=True, eq=False)
class Walkers:
    """Who walks and who trains: one split of the people."""

    people: People
    clients: list[ClientPath]
    training: list[FloatArray]
    duration_s: float
    _foresights: dict[tuple[str, float | None], Foresight] = field(default_factory=dict)

    def foresight(self, settings: Experiment) -> Foresight:
        """Return what the settings' predictor expects of them; it learns once for all runs."""
        key = predictor_name(settings.migration), build_policy(settings).reach_m
        if key not in self._foresights:
            self._foresights[key] = foresight_of(
                settings, self.people.access_points, self.clients, self.training
            )
        return self._foresights[key]


@dataclass(frozen=True, eq=False)
class Totals:
    """What came of a run of everyone's whole traces.

    `logs` are what each client did, `backhaul` is the run's table, `servers` their names by number.
    """

    logs: Sequence[Log]
    backhaul: pd.DataFrame
    servers: Sequence[str]

    @cached_property
    def moves(self) -> list[list[Moved]]:
        """Each client's changes of server."""
        return [[moved for moved in log.handovers if moved.source >= 0] for log in self.logs]

    @cached_property
    def all_moves(self) -> list[Moved]:
        """Everyone's changes of server."""
        return [moved for moves in self.moves for moved in moves]

    @property
    def handovers(self) -> int:
        """How many changes of server there were."""
        return len(self.all_moves)

    @property
    def queries_after(self) -> int:
        """Queries raised in the interval after each change of server."""
        return sum(moved.queries for moved in self.all_moves)

    @property
    def queries(self) -> int:
        """All that were answered."""
        return sum(log.queries for log in self.logs)

    @property
    def migrated_bytes(self) -> float:
        """Layers sent from server to server."""
        return sum(count for log in self.logs for *_, count in log.sent)

    @property
    def backhaul_bytes(self) -> float:
        """Layers, and where queries are routed to other servers, tensors."""
        return float(self.backhaul.loc[self.backhaul["direction"] == "uplink", "bytes"].sum())

    @property
    def hit_ratio(self) -> float:
        """Share of the handovers that were hits."""
        return share(moved.hit for moved in self.all_moves)

    @property
    def chosen_ratio(self) -> float:
        """Share of the handovers to servers where an offer held layers, arrived or not."""
        return share(moved.chosen for moved in self.all_moves)


def each_split(context: Context) -> Iterator[tuple[int, str, Walkers]]:
    """Yield the number of each split, each model, and who walks."""
    movements = context.movements
    people = movements.people()
    for number, (training, testing) in enumerate(movements.split(people)):
        who = walkers(people, training, testing)
        for model in context.models:
            say(f"split {number + 1} of {movements.splits}: {model}")
            yield number, model, who


def walkers(people: People, training: TraceSet, testing: TraceSet) -> Walkers:
    """Return a split's people, each from first to last position."""
    schedule = whole_schedule(testing, people.access_points)
    return Walkers(people, clients_of(schedule), list(training.positions_m), schedule.duration_s)


def chosen(settings: Experiment, changes: Mapping[str, Any]) -> Experiment:
    """Return the settings with others, by their paths, in the paper's network."""
    return replace(changed(settings, changes), simulation=PAPERS_NETWORK)


def for_model(settings: Experiment, model: str) -> tuple[Experiment, Offloading]:
    """Return the settings with a model, and the model between client and server."""
    with_model = changed(settings, {"model.name": model})
    return with_model, offloading_of(with_model)


def simulate(settings: Experiment, offloading: Offloading, who: Walkers) -> Totals:
    """Let everyone walk, and add up."""
    run = SimulatedRun(
        settings,
        offloading,
        who.people.access_points,
        who.clients,
        who.training,
        Unlimited(),
        duration_s=who.duration_s,
        details=False,
        foresight=who.foresight(settings),
    )
    logs = run.run()
    servers = [each.name for each in who.people.access_points]
    return Totals(logs, backhaul_of(run.world, logs, goodput=1.0), servers)


def share(which: Iterable[bool]) -> float:
    """Return the share of what is true; NaN of nothing."""
    found = list(which)
    return sum(found) / len(found) if found else float("nan")


def peaks_mbps(totals: Totals, people: People) -> tuple[float, float, float]:
    """Return the highest uplink and downlink, and the share of servers under 100 Mbit/s."""
    highest = peaks(totals.backhaul, [each.name for each in people.access_points])
    up_mbps, down_mbps = highest["uplink"].max(), highest["downlink"].max()
    under = share_under(highest)
    return float(up_mbps), float(down_mbps), float("nan") if under is None else under
