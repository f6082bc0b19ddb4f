"""A run in virtual time: everyone's way through it, step by step."""

from __future__ import annotations

import gc
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil

import numpy as np

from testbed.arrays import FloatArray
from testbed.decision.policies import build_policy, build_predictor
from testbed.decision.time_to_live import kept_after_leaving_s
from testbed.runs.warm_start import Beginning, WarmStart
from testbed.settings.experiment import Experiment
from testbed.settings.units import TCP_GOODPUT_SHARE
from testbed.simulation.fluid.carrier import Carrier
from testbed.simulation.fluid.layer_stream import LayerStream
from testbed.simulation.foresight import ClientPath, Expected, Foresight
from testbed.simulation.log import Log, Order
from testbed.simulation.offloading import Offloading
from testbed.simulation.roaming import Roaming
from testbed.simulation.world import World
from testbed.values import AccessPoint, client_seed


class SimulatedRun:
    """A run in virtual time.

    `offloading` is the model between a client and an idle server; the predictor learns from
    `training` paths, (m, 2) each, in metres, unless another run with the same predictor and reach
    has made the `foresight` of these clients already; `begins` is how it begins. With `details`,
    each offer and query is kept. Raises ConfigurationError if the settings cannot be simulated.
    """

    def __init__(
        self,
        settings: Experiment,
        offloading: Offloading,
        access_points: Sequence[AccessPoint],
        clients: Sequence[ClientPath],
        training: Sequence[FloatArray],
        carrier: Carrier,
        *,
        duration_s: float,
        details: bool = True,
        foresight: Foresight | None = None,
        begins: WarmStart | None = None,
    ) -> None:
        policy = build_policy(settings)
        policy.learn(access_points, training)
        if policy.in_cloud:
            offloading = offloading.at_distance(settings.server.cloud_round_trip_s)
        self.world = World(
            access_points=tuple(access_points),
            policy=policy,
            stream=LayerStream(
                offloading,
                [(layer,) for run in offloading.runs() for layer in run],
                goodput=goodput(settings),
            ),
            interval_s=settings.traces.step_s,
            duration_s=duration_s,
            gap_s=settings.model.query_gap_s,
            sharing=settings.simulation.sharing,
            kept_s=kept_after_leaving_s(settings.migration, settings.traces.step_s),
        )
        self._foresight = foresight or foresight_of(settings, access_points, clients, training)
        self._carrier = carrier
        self._roaming = [
            Roaming(self.world, number, client, first_query_s(settings, number), details=details)
            for number, client in enumerate(clients)
        ]
        for each in self._roaming:
            if begins is not None and each.client.name in begins.clients:
                each.begin_with(begins.clients[each.client.name])
        self.ended_s = 0.0  # when the run was over, or interrupted

    def run(self, goes_on: Callable[[float], bool] = lambda _: True) -> list[Log]:
        """Go through all steps; return what each client did.

        `goes_on` is told the time after each step, and says whether there shall be another.
        """
        self._go(goes_on)
        for each in self._roaming:
            each.finish(self.ended_s)
        return [each.log for each in self._roaming]

    def beginnings(self, enters: Mapping[str, str]) -> dict[str, Beginning]:
        """Go through all steps; return how clients stand then, who go on at these access points."""
        self._go(lambda _: True)
        number_of, step = self.world.number_of, round(self.ended_s / self.world.interval_s)
        return {
            each.client.name: each.beginning(step, number_of[enters[each.client.name]])
            for each in self._roaming
            if each.enters < step
        }

    def _go(self, goes_on: Callable[[float], bool]) -> None:
        here: list[Roaming] = []
        changes = {step for each in self._roaming for step in (each.enters, each.leaves)}
        with _uncollected():
            for step, expected in self._steps():
                if step in changes:
                    here = [each for each in self._roaming if each.enters <= step < each.leaves]
                self._take(step, here, expected)
                self.ended_s = self.world.step_s(step + 1)
                if not goes_on(self.ended_s):
                    break

    def _steps(self) -> Iterator[tuple[int, Expected]]:
        last = max((each.leaves for each in self._roaming), default=0)
        last = min(last, ceil(self.world.duration_s / self.world.interval_s))
        for start in range(0, last, self._foresight.steps_at_once):
            stop = min(start + self._foresight.steps_at_once, last)
            expected = self._foresight.between(start, stop)
            yield from ((step, expected) for step in range(start, stop))

    def _take(self, step: int, here: Sequence[Roaming], expected: Expected) -> None:
        from_s, to_s = self.world.step_s(step), self.world.step_s(step + 1)
        orders: list[Order] = []
        awake = [each for each in here if each.wakes <= step]
        for each in awake:
            orders += each.begin(step, from_s, expected)
        self._carrier.carry(orders, from_s, to_s)
        for order in orders:
            order.client.end(order)
        for each in awake:
            each.count(step)


def foresight_of(
    settings: Experiment,
    access_points: Sequence[AccessPoint],
    clients: Sequence[ClientPath],
    training: Sequence[FloatArray],
) -> Foresight:
    """Return what the settings' predictor expects of clients, once it has learnt from paths."""
    predictor = build_predictor(settings)
    predictor.fit(list(training), np.array([(each.x_m, each.y_m) for each in access_points]))
    reach_m = build_policy(settings).reach_m
    return Foresight(predictor, access_points, clients, reach_m)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Leave out the garbage collector, which finds nothing here and takes a quarter of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def goodput(settings: Experiment) -> float:
    """Return the share of a link's rate that layers and tensors get."""
    return TCP_GOODPUT_SHARE if settings.simulation.headers else 1.0


def first_query_s(settings: Experiment, number: int) -> float:
    """Return when a client raises its first query, as the emulated one does."""
    drawn = random.Random(client_seed(settings.seed, number))
    return drawn.uniform(0, settings.model.query_gap_s)
