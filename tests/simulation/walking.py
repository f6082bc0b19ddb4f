"""A client's way from server to server, by hand: a, b, c at 0, 100, 200 m, steps of 2 s.

The model has two layers of 1 and 2 MB, and a megabyte takes a second on the uplink.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from testbed.arrays import FloatArray
from testbed.decision.policies import PerDnn, Policy
from testbed.mobility.predictor import Candidates, Predictor
from testbed.settings.experiment import Migration
from testbed.simulation.fluid.carrier import Carrier, Unlimited
from testbed.simulation.fluid.layer_stream import LayerStream
from testbed.simulation.foresight import ClientPath, Foresight
from testbed.simulation.log import Log
from testbed.simulation.roaming import Roaming
from testbed.simulation.world import World
from testbed.values import AccessPoint
from tests.mobility.walks import on_line
from tests.simulation.test_exact_attachment import chain

A, B, C = range(3)
PLACES = tuple(
    AccessPoint(name, x_m, 0.0) for name, x_m in zip("abc", (0.0, 100.0, 200.0), strict=True)
)
STEP_S = 2.0
MB = 1_000_000


class Next(Predictor):
    """Expects everyone at the next server: 100 m further."""

    def __init__(self) -> None:
        super().__init__(1)

    def fit(self, paths: Sequence[FloatArray], servers_m: FloatArray) -> None:
        pass

    def predict(self, recent: FloatArray) -> FloatArray:
        return recent[:, -1] + (100.0, 0.0)

    def candidates(self, recent: FloatArray) -> Candidates:
        nobody = np.full((len(recent), 1), -1)
        return Candidates(nobody, np.zeros((len(recent), 1, 5)))


def walk(
    policy: Policy,
    attached: Sequence[int],
    *,
    kept_s: float = 0.0,
    first: int = 0,
    duration_s: float | None = None,
    carrier: Carrier | None = None,
    details: bool = True,
    gap_s: float = 0.5,
) -> Log:
    """Let a client walk from server to server, one step at each entry, and return its log.

    Without details it sleeps where it can.
    """
    world = World(
        access_points=PLACES,
        policy=policy,
        stream=LayerStream(chain(), [(0,), (1,)]),
        interval_s=STEP_S,
        duration_s=duration_s or STEP_S * (first + len(attached)),
        gap_s=gap_s,
        sharing="separate",
        kept_s=kept_s,
    )
    client = ClientPath(
        "walker", first, on_line(*(100.0 * each for each in attached)), tuple(attached)
    )
    foresight = Foresight(Next(), PLACES, [client], policy.reach_m)
    roaming = Roaming(world, 0, client, first * STEP_S, details=details)
    expected = foresight.between(0, client.leaves)
    for step in range(client.enters, client.leaves):
        if step < roaming.wakes:
            continue
        orders = roaming.begin(step, world.step_s(step), expected)
        (carrier or Unlimited()).carry(orders, world.step_s(step), world.step_s(step + 1))
        for order in orders:
            roaming.end(order)
        roaming.count(step)
    roaming.finish(world.duration_s)
    return roaming.log


def perdnn(ttl_intervals: int = 5) -> PerDnn:
    return PerDnn(Migration(radius_m=50.0, ttl_intervals=ttl_intervals))


def moves(log: Log) -> list[tuple[int, int, float, bool]]:
    return [(each.step, each.destination, each.present_bytes, each.hit) for each in log.handovers]
