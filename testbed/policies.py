"""Who gets which layers when: the migration policies that a run can choose between.

A policy decides from what the master knows; it acts on nothing. Emulator and simulator call it at
each report of a client's position. `--policy package.module:Class` names one of your own.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from testbed.config import Migration
from testbed.errors import ConfigurationError, unknown_name
from testbed.values import AccessPoint, Offer, Prediction, names_around


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


class Policy:
    """The strategy: override `offers`."""

    #: Whether every server holds every client's layers from the start.
    preloaded: ClassVar[bool] = False

    def __init__(self, settings: Migration) -> None:
        self.settings = settings

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
        layers = tuple(situation.plan(destination))
        crowded = self.settings.crowded
        limited = not crowded or situation.current in crowded or destination in crowded
        if self.settings.fraction_mb is None or not limited:
            return layers
        sent = np.cumsum([situation.layer_bytes[layer] for layer in layers])
        return layers[: int(np.searchsorted(sent, self.settings.fraction_mb * 1e6, side="right"))]


POLICIES: Mapping[str, type[Policy]] = {"ionn": Ionn, "perdnn": PerDnn, "optimal": Optimal}


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
    module, separator, attribute = name.partition(":")
    if not separator:
        raise ConfigurationError(unknown_name("policy", name, POLICIES))
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a user's policy lies where the command is called
    try:
        policy = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"policy {name!r}: {error}") from error
    if not (isinstance(policy, type) and issubclass(policy, Policy)):
        raise ConfigurationError(f"policy {name!r} is no subclass of testbed.policies.Policy")
    return policy
