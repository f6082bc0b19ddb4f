"""The simulator on whole data sets, with the paper's network: what its experiments share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import pandas as pd
import paper
from _delivery import Row, gather, say
from _mobility import Movements, add_interval, parser
from msgspec.structs import replace

from testbed.analysis.crowding import peaks, share_under
from testbed.config import Experiment, Migration, Simulation
from testbed.errors import ConfigurationError
from testbed.movement import People
from testbed.policies import find_policy
from testbed.runfolder import RunFolder
from testbed.simulation.carrier import Unlimited
from testbed.simulation.foresight import Client, Foresight, clients_of
from testbed.simulation.log import Log, Moved
from testbed.simulation.offloading import Offloading, offloading_of
from testbed.simulation.run import Simulation as Run
from testbed.simulation.run import foresight_of
from testbed.simulation.tables import backhaul_of
from traces.schedule import whole_schedule
from traces.trace import FloatArray, TraceSet

#: Migrations take no time, queries and uploads do not share the uplink, links carry no headers.
PAPERS_NETWORK = Simulation(sharing="separate", backhaul="unlimited", headers=False)


class Choice(NamedTuple):
    """A policy as the figures name it."""

    label: str
    policy: str
    radius_m: float = 50.0


def parser_of_models(
    description: str | None, name: str, default: Sequence[str]
) -> argparse.ArgumentParser:
    """Return the parser of an experiment with these models by default."""
    made = parser(description, name)
    add_interval(made)
    made.add_argument(
        "--models",
        default=",".join(default),
        metavar="NAME,NAME,...",
        help="models of the paper (default: %(default)s)",
    )
    return made


def models_of(given: argparse.Namespace) -> list[str]:
    """Return the models of --models, each once; ConfigurationError for one that is unknown."""
    models = list(dict.fromkeys(given.models.split(",")))
    if unknown := set(models) - set(paper.MODELS):
        raise ConfigurationError(
            f"--models: {', '.join(sorted(unknown))} is none of the paper's:"
            f" {', '.join(paper.MODELS)}"
        )
    return models


def keep_splits(folder: RunFolder, measured: Iterator[Row]) -> tuple[pd.DataFrame, int]:
    """Return and keep what is measured of each split, and the exit status; see `gather`.

    Of several splits, one that Ctrl-C has cut short is left out.
    """
    found, status = gather(measured)
    splits = pd.DataFrame(found)
    if status and found and splits["split"].nunique() > 1:
        splits = splits[splits["split"] < splits["split"].max()]
    if found:
        splits.to_csv(folder.path / "splits.csv", index=False)
    return splits, status


@dataclass(frozen=True, eq=False)
class Walkers:
    """Who walks and who trains: one split of the people."""

    people: People
    clients: list[Client]
    training: list[FloatArray]
    duration_s: float
    _foresights: dict[tuple[str, float | None], Foresight] = field(default_factory=dict)

    def foresight(self, migration: Migration) -> Foresight:
        """Return what the settings' predictor expects of them; it learns once for all runs."""
        policy = find_policy(migration.policy)(migration)
        key = migration.predictor or policy.predictor, policy.reach_m
        if key not in self._foresights:
            self._foresights[key] = foresight_of(
                migration, self.people.access_points, self.clients, self.training
            )
        return self._foresights[key]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What came of a run, in total.

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


def each_split(movements: Movements, models: Sequence[str]) -> Iterator[tuple[int, str, Walkers]]:
    """Yield the number of each split, each model, and who walks."""
    people = movements.people()
    for number, (training, testing) in enumerate(movements.split(people)):
        who = walkers(people, training, testing)
        for model in models:
            say(f"split {number + 1} of {movements.splits}: {model}")
            yield number, model, who


def walkers(people: People, training: TraceSet, testing: TraceSet) -> Walkers:
    """Return a split's people, each from first to last position."""
    schedule = whole_schedule(testing, people.access_points)
    return Walkers(people, clients_of(schedule), list(training.positions_m), schedule.duration_s)


def choose(settings: Experiment, choice: Choice) -> Experiment:
    """Return the settings with a policy, in the paper's network."""
    migration = replace(settings.migration, policy=choice.policy, radius_m=choice.radius_m)
    return replace(settings, migration=migration, simulation=PAPERS_NETWORK)


def for_model(settings: Experiment, model: str) -> tuple[Experiment, Offloading]:
    """Return the settings with a model, and the model between client and server."""
    chosen = replace(settings, model=replace(settings.model, name=model))
    return chosen, offloading_of(chosen)


def simulate(settings: Experiment, offloading: Offloading, who: Walkers) -> Outcome:
    """Let everyone walk, and add up."""
    run = Run(
        settings,
        offloading,
        who.people.access_points,
        who.clients,
        who.training,
        Unlimited(),
        duration_s=who.duration_s,
        details=False,
        foresight=who.foresight(settings.migration),
    )
    logs = run.run()
    servers = [each.name for each in who.people.access_points]
    return Outcome(logs, backhaul_of(run.world, logs, goodput=1.0), servers)


def share(which: Iterable[bool]) -> float:
    """Return the share of what is true; NaN of nothing."""
    found = list(which)
    return sum(found) / len(found) if found else float("nan")


def peaks_mbps(outcome: Outcome, people: People) -> tuple[float, float, float]:
    """Return the highest uplink and downlink, and the share of servers under 100 Mbit/s."""
    highest = peaks(outcome.backhaul, [each.name for each in people.access_points])
    under = share_under(highest)
    return (
        float(highest["uplink"].max()),
        float(highest["downlink"].max()),
        float("nan") if under is None else under,
    )
