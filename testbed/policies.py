"""Who gets which layers when: the migration policies that a run can choose between.

A policy decides from what the master knows; it acts on nothing. Emulator and simulator call it at
each report of a client's position. `--policy package.module:Class` names one of your own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from testbed.config import Migration
from testbed.errors import ConfigurationError
from testbed.mobility.predictor import Predictor
from testbed.mobility.predictors import find_predictor
from testbed.plugins import load_class
from testbed.values import AccessPoint, Offer, Prediction, names_around

#: How far ahead an offer looks: the next can be made after one interval, and layers take up to
#: another to arrive (Inception's 134.6 MB take 31 s at 35 Mbit/s).
LEAD_INTERVALS = 2

#: Positions are reported once an interval, so who moves in the last interval of the time to live is
#: seen at its end, when layers must still be there.
_GRACE_INTERVALS = 0.5


def time_to_live_s(ttl_intervals: int, interval_s: float) -> float:
    """Return how long an offer holds layers, in seconds from the report that it answers."""
    return (ttl_intervals + _GRACE_INTERVALS) * interval_s


@dataclass(frozen=True)
class Situation:
    """What the master knows when a client reports its position."""

    current: str  # the server that the client is attached to
    prediction: Prediction
    access_points: Sequence[AccessPoint]
    plan: Callable[[str], Sequence[int]]  # server -> server-side layers, most efficient first
    layer_bytes: Sequence[int]
    ends_s: float  # when the next offers are made
    until_s: float  # when the time to live of an offer made now is over
    #: Returns the probability of a visit within 1, 2, ... intervals for servers near the client.
    visits: Callable[[], Mapping[str, Sequence[float]]]
    #: When the time to live of the last offer to a server is over, for those that had one.
    held_until_s: Mapping[str, float]

    def holds(self, server: str) -> bool:
        """Whether a server has the client's layers already: it is attached there, or an offer."""
        held_until_s = self.held_until_s.get(server, -math.inf)
        return server == self.current or held_until_s > self.prediction.time_s


class Policy:
    """The strategy: override `offers`."""

    #: Whether every server holds every client's layers from the start.
    preloaded: ClassVar[bool] = False
    #: Which predictor it goes with, where the settings name none.
    predictor: ClassVar[str] = "svr"

    def __init__(self, settings: Migration) -> None:
        self.settings = settings

    @property
    def reach_m(self) -> float | None:
        """How far from the predicted position it looks at access points; None: at all there are.

        The simulator tells a policy of no others.
        """
        return None

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers that `offers` will plan for; the master asks their load before.

        Where a policy does not say, it plans with the loads that the master last heard of.
        """
        return ()

    def offers(self, situation: Situation) -> list[Offer]:
        """Return the layers to be held, by which servers, sent from the current one."""
        raise NotImplementedError


class Ionn(Policy):
    """The baseline: nothing is migrated, clients upload from scratch at each server (IONN)."""

    def offers(self, situation: Situation) -> list[Offer]:
        """Return nothing."""
        return []


class Optimal(Ionn):
    """The bound: all layers are everywhere, always (section IV.B.3)."""

    preloaded = True


class PerDnn(Policy):
    """Layers go to all servers within `radius_m` of the predicted position (section III.C.2).

    With `fraction_mb`, crowded servers send and receive only the most efficient layers of so
    many megabytes (section IV.B.5); with no crowded server named, the limit holds everywhere.
    """

    @property
    def reach_m(self) -> float | None:
        """The radius."""
        return self.settings.radius_m

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers around the predicted position but the current one, nearest first."""
        around = servers_around(situation, self.settings.radius_m)
        return [server for server in around if server != situation.current]

    def offers(self, situation: Situation) -> list[Offer]:
        """Return one offer for each of the destinations."""
        return [
            Offer(
                client=situation.prediction.client,
                source=situation.current,
                destination=server,
                layers=self._fraction(situation, server),
                ends_s=situation.ends_s,
                until_s=situation.until_s,
            )
            for server in self.destinations(situation)
        ]

    def _fraction(self, situation: Situation, destination: str) -> tuple[int, ...]:
        if destination == situation.current:
            return ()  # what is there is held, and nothing sent
        layers = tuple(situation.plan(destination))
        crowded = self.settings.crowded
        limited = not crowded or situation.current in crowded or destination in crowded
        if self.settings.fraction_mb is None or not limited:
            return layers
        sent = np.cumsum([situation.layer_bytes[layer] for layer in layers])
        return layers[: int(np.searchsorted(sent, self.settings.fraction_mb * 1e6, side="right"))]


class Visits(PerDnn):
    """Layers go to the servers that the client will probably visit soon.

    A server gets them where a visit within `LEAD_INTERVALS` is at least as probable as
    `offer_probability`. One that has them keeps them where a visit within the time to live is at
    least as probable as `keep_probability`, since renewing an offer moves no bytes. So does the
    current server, for the time after the client has left: in KAIST, two of five handovers lead
    back to where the client came from.
    """

    predictor = "visits"

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers that shall hold layers, the most probable next first.

        The current one is among them: what it is offered by itself is to be held.
        """
        return [
            server
            for server, probability in situation.visits().items()
            if self._is_worth_it(probability, situation.holds(server))
        ]

    def _is_worth_it(self, probability: Sequence[float], holds: bool) -> bool:
        settings = self.settings
        if holds:
            return _within(settings.ttl_intervals, probability) >= settings.keep_probability
        lead = min(LEAD_INTERVALS, settings.ttl_intervals)
        return _within(lead, probability) >= settings.offer_probability


def _within(intervals: int, probability: Sequence[float]) -> float:
    """Return the probability within some intervals, or within as many as are foreseen."""
    return probability[min(intervals, len(probability)) - 1]


POLICIES: Mapping[str, type[Policy]] = {
    "ionn": Ionn,
    "perdnn": PerDnn,
    "visits": Visits,
    "optimal": Optimal,
}


def servers_around(situation: Situation, radius_m: float) -> list[str]:
    """Return the servers within `radius_m` of the predicted position, nearest first."""
    predicted = situation.prediction
    return names_around(situation.access_points, predicted.x_m, predicted.y_m, radius_m)


def find_policy(name: str) -> type[Policy]:
    """Return the policy class of this name, or of package.module:Class.

    Raises:
        ConfigurationError: no such policy, or it is no subclass of `Policy`.
    """
    if name in POLICIES:
        return POLICIES[name]
    return load_class("policy", name, Policy, POLICIES)


def build_predictor(settings: Migration) -> Predictor:
    """Return the predictor that the settings name, or else the policy's own; it has learnt nothing.

    Raises:
        ConfigurationError: there is none of this name, or it cannot be made.
    """
    name = settings.predictor or find_policy(settings.policy).predictor
    try:
        return find_predictor(name)(settings.trajectory_length)
    except TypeError as error:
        raise ConfigurationError(f"predictor {name!r}: cannot be made: {error}") from error
