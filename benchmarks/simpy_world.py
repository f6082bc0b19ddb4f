"""What the clients of the peer in SimPy share, and what servers have of their models.

Of what happens at the same moment, layers arrive and queries go on first, then clients move and
report (`MOVE`), then queries are raised (`RAISE`), at the server that the client is at by then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import simpy

from benchmarks.simpy_uplink import PeerUplink, Separate, Shared
from testbed.decision.coordinator import Coordinator, Predicts
from testbed.decision.policies import find_policy
from testbed.decision.time_to_live import Hold
from testbed.settings.experiment import Experiment
from testbed.simulation.offloading import Offloading, TimedSegment
from testbed.values import AccessPoint

MOVE = simpy.events.EventPriority(2)  # timeouts have 1
RAISE = simpy.events.EventPriority(3)


class PeerWorld:
    """What all clients of a run share.

    Args:
        settings: policy, gap between queries, seed, sharing of the uplink.
        offloading: the model between a client and an idle server.
        access_points: all of the run.
        predictor: fitted with these access points.
        duration_s: of the run.
    """

    def __init__(
        self,
        settings: Experiment,
        offloading: Offloading,
        access_points: Sequence[AccessPoint],
        predictor: Predicts,
        duration_s: float,
    ) -> None:
        costs = offloading.costs
        self.env = simpy.Environment()
        self.settings = settings
        self.offloading = offloading
        self.duration_s = duration_s
        self.layer_bytes = offloading.graph.weight_bytes.tolist()
        self.names = [each.name for each in access_points]
        self.number_of = {name: number for number, name in enumerate(self.names)}
        self.policy = find_policy(settings.migration.policy)(settings.migration)
        self.coordinator = Coordinator(
            access_points=access_points,
            predictor=predictor,
            policy=self.policy,
            server_times=lambda graph, stats: np.tile(costs.server_s, (len(stats), 1)),
            rates_bps=(costs.up_bps, costs.down_bps),
            interval_s=settings.traces.step_s,
            gap_s=settings.model.query_gap_s,
        )

    def uplink(self) -> PeerUplink:
        """Return the link of a client."""
        bytes_s = self.offloading.costs.up_bps / 8
        shared = self.settings.simulation.sharing == "shared"
        return Shared(self.env, bytes_s) if shared else Separate(self.env, bytes_s)

    def step_s(self, step: int) -> float:
        """Return when a step begins, at the latest the run's end."""
        return min(step * self.settings.traces.step_s, self.duration_s)


class Due(simpy.Event):
    """A timeout with a place among what happens at the same moment."""

    def __init__(
        self, env: simpy.Environment, seconds: float, priority: simpy.events.EventPriority
    ) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        env.schedule(self, priority, seconds)


class Store(Hold):
    """What one server has of one client's model."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__()
        self.whole: set[int] = set()
        self.parts_bytes: dict[int, float] = {}  # of layers that are not whole
        self.steps: tuple[TimedSegment, ...] | None = (
            None  # of a query with the layers that are whole
        )
        self.changed = env.event()  # the next layer is whole

    def put(self, layer: int) -> None:
        """A layer is whole."""
        self.whole.add(layer)
        self.parts_bytes.pop(layer, None)
        self.steps = None
        if self.changed.callbacks:  # somebody waits for it
            self.changed.succeed()
            self.changed = self.changed.env.event()
