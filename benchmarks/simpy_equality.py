"""One experiment by the testbed's simulator and by its peer in SimPy: are the results equal?

`differences(SMALL)` takes seconds; every setting of an experiment may be varied that the peer knows
(policy, radius, sharing of the uplink, model, traces).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unittest.mock import patch

import numpy as np

from benchmarks.simpy_peer import Move, PeerCounts, simulate
from testbed.decision.policies import build_predictor
from testbed.mobility.predictor import Predictor
from testbed.movement import Movement, prepare
from testbed.settings.experiment import Experiment, Migration, Model, Replay, Simulation, Traces
from testbed.simulation.fluid.carrier import Unlimited
from testbed.simulation.foresight import clients_of
from testbed.simulation.log import Log, Moved
from testbed.simulation.offloading import offloading_of
from testbed.simulation.simulated_run import SimulatedRun as Run

SMALL = Experiment(
    name="small",
    traces=Traces(format="synthetic", test_people=4),
    replay=Replay(duration_s="all"),
    model=Model(name="mobilenet"),
    migration=Migration(policy="perdnn", radius_m=100.0),
    simulation=Simulation(sharing="separate", backhaul="unlimited", headers=False),
)

_ROUNDING_BYTES = 1e-3  # after gigabytes; times of layers differ by less than a microsecond


class Peers:
    """Both simulators of one experiment, from loaded traces and a fitted predictor on.

    Args:
        settings: of the experiment, without limits of the backhaul and without headers.
        movement: who trains, who walks.
    """

    def __init__(self, settings: Experiment, movement: Movement) -> None:
        self.settings = settings
        self.movement = movement
        self.clients = clients_of(movement.schedule)
        self.predictor = self.train()

    def train(self) -> Predictor:
        """Return a fitted predictor."""
        predictor = build_predictor(self.settings)
        servers_m = np.array([(each.x_m, each.y_m) for each in self.movement.access_points])
        predictor.fit(list(self.movement.training.positions_m), servers_m)
        return predictor

    def by_testbed(self) -> list[Log]:
        """Return what each client did, by the testbed's simulator; it need not train."""
        predictor, schedule = self.predictor, self.movement.schedule
        with (
            patch("testbed.simulation.simulated_run.build_predictor", lambda _: predictor),
            patch.object(predictor, "fit"),
        ):
            return Run(
                self.settings,
                offloading_of(self.settings),
                schedule.access_points,
                self.clients,
                self.movement.training.positions_m,
                Unlimited(),
                duration_s=schedule.duration_s,
                details=False,
            ).run()

    def by_simpy(self) -> list[PeerCounts]:
        """Return what each client did, by SimPy."""
        schedule = self.movement.schedule
        return simulate(
            self.settings,
            offloading_of(self.settings),
            schedule.access_points,
            self.clients,
            self.predictor,
            duration_s=schedule.duration_s,
        )


def differences(settings: Experiment) -> list[str]:
    """Return in words in what the two simulators differ."""
    movement = prepare(settings)
    peers = Peers(movement.settings, movement)
    return differences_of(peers.by_testbed(), peers.by_simpy())


def differences_of(logs: Sequence[Log], counts: Sequence[PeerCounts]) -> list[str]:
    """Return in words in what two runs of the same clients differ."""
    return [
        f"client {number}: {name} {ours} by the testbed, {theirs} by SimPy"
        for number, (log, count) in enumerate(zip(logs, counts, strict=True))
        for name, ours, theirs in _differing(log, count)
    ]


def _differing(log: Log, counts: PeerCounts) -> Iterator[tuple[str, object, object]]:
    moves = [_move(moved) for moved in log.handovers]
    if len(moves) != len(counts.moves):
        yield "attachments", len(moves), len(counts.moves)
    for ours, theirs in zip(moves, counts.moves, strict=False):
        near = abs(ours.present_bytes - theirs.present_bytes) < _ROUNDING_BYTES
        if not near or _counted(ours) != _counted(theirs):
            yield "attachment", ours, theirs
    sent_bytes = {(step, here, there): count for step, here, there, count in log.sent}
    for key in sorted(sent_bytes.keys() | counts.sent_bytes.keys()):
        sent, sent_too = sent_bytes.get(key, 0.0), counts.sent_bytes.get(key, 0.0)
        if abs(sent - sent_too) >= _ROUNDING_BYTES:
            yield f"bytes sent {key}", sent, sent_too
    for name in ("queries", "cold_start_queries"):
        if getattr(log, name) != getattr(counts, name):
            yield name, getattr(log, name), getattr(counts, name)


def _counted(move: Move) -> tuple[int, int, int, bool, int]:
    return move.step, move.source, move.destination, move.hit, move.queries


def _move(moved: Moved) -> Move:
    return Move(
        *(moved.step, moved.source, moved.destination, moved.present_bytes, moved.hit),
        queries=moved.queries,
    )
