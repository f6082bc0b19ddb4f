"""Who gets which layers when: the migration policies that a run can choose between.

`--policy package.module:Class` names one of your own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from testbed.decision.benefit import Benefit
from testbed.decision.following import FollowMe, Pull
from testbed.decision.images import Download, Handoff
from testbed.decision.policy import CLOUD, KEEP_MEANING, Policy, PolicySettings, Situation, within
from testbed.decision.popularity import Popular
from testbed.mobility.predictors import find_predictor
from testbed.plugins import instance, load_class, own_settings
from testbed.settings.experiment import Experiment
from testbed.settings.offloads import Migration
from testbed.values import Offer

if TYPE_CHECKING:
    from testbed.mobility.predictor import Predictor

#: How far ahead an offer looks: the next can be made after one interval, and layers take up to
#: another to arrive (Inception's 134.6 MB take 31 s at 35 Mbit/s).
LEAD_INTERVALS = 2


class Ionn(Policy):
    """The baseline: nothing is migrated, clients upload from scratch at each server (IONN)."""

    migrates = False

    def offers(self, situation: Situation) -> list[Offer]:
        """Return nothing."""
        return []


class Optimal(Ionn):
    """The bound: all layers are everywhere, always (section IV.B.3)."""

    preloaded = True


class Cloud(Optimal):
    """No edge servers: all queries go to one server that has all models, by a longer way."""

    in_cloud = True

    def serving(self, access_point: str, before: str | None) -> str:
        """Return the cloud."""
        return CLOUD


class Routing(Ionn):
    """A client stays with its first server, wherever it goes (section III.A's second choice).

    What its queries send and get, and what is left of the upload, passes through the backhaul.
    """

    def serving(self, access_point: str, before: str | None) -> str:
        """Return the server before, or at first the access point's own."""
        return before or access_point


class PerDnn(Policy):
    """Layers go to all servers within `radius_m` of the predicted position (section III.C.2).

    With `fraction_mb`, crowded servers send and receive only the most efficient layers of so
    many megabytes (section IV.B.5); with no crowded server named, the limit holds everywhere.
    """

    memoryless = True

    @property
    def reach_m(self) -> float | None:
        """The radius."""
        return self.settings.radius_m

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers around the predicted position but the current one, nearest first."""
        around, current = situation.around(self.settings.radius_m), situation.current
        return [server for server in around if server != current]

    def offers(self, situation: Situation) -> list[Offer]:
        """Return one offer for each of the destinations."""
        fraction_mb, layers = self.settings.fraction_mb, situation.plan
        if fraction_mb is not None:
            layers = partial(self._fraction, situation, fraction_mb)
        return [situation.offer(server, layers(server)) for server in self.destinations(situation)]

    def is_limited(self, source: str, destination: str) -> bool:
        """Whether one of two servers is crowded."""
        return source in self.settings.crowded or destination in self.settings.crowded

    def _fraction(self, situation: Situation, size_mb: float, destination: str) -> Sequence[int]:
        """Return the first layers of so many megabytes, or all where no crowded server is at it."""
        layers, crowded = situation.plan(destination), self.settings.crowded
        if crowded and not self.is_limited(situation.current, destination):
            return layers
        sent = accumulate(situation.layer_bytes[layer] for layer in layers)
        return layers[: sum(size_bytes <= size_mb * 1e6 for size_bytes in sent)]


class Visits(PerDnn):
    """Layers go to the servers that the client will probably visit soon.

    A server gets them where a visit within `LEAD_INTERVALS` is at least as probable as
    `offer_probability`. One that has them keeps them where a visit within the time to live is at
    least as probable as `keep_probability`, since renewing an offer moves no bytes. So does the
    current server, for the time after the client has left: in KAIST, two of five handovers lead
    back to where the client came from.
    """

    class Settings(PolicySettings, frozen=True, kw_only=True):
        """How probable a visit has to be."""

        offer_probability: Annotated[
            float, Meta(gt=0, le=1, description="servers as probable within 2 intervals get layers")
        ] = 0.05
        keep_probability: Annotated[float, Meta(ge=0, le=1, description=KEEP_MEANING)] = 0.005

        def __post_init__(self) -> None:
            if self.keep_probability > self.offer_probability:
                raise ValueError(
                    f"keep_probability {self.keep_probability:g} is above offer_probability"
                    f" {self.offer_probability:g}: what is offered would be dropped at once"
                )

    predictor = "visits"

    @property
    def reach_m(self) -> float | None:
        """None: it knows places by their probabilities."""
        return None

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers that shall hold layers, the most probable next first.

        The current one is among them: what it is offered by itself is to be held.
        """
        return [
            server
            for server, probability in situation.visits().items()
            if self._is_worth_it(probability, situation.holds(server))
        ]

    def offers(self, situation: Situation) -> list[Offer]:
        """Return an offer for each of the destinations; the current server holds what it has."""
        current = situation.current
        offers = super().offers(situation)
        return [situation.hold(current) if o.destination == current else o for o in offers]

    def _is_worth_it(self, probability: Sequence[float], holds: bool) -> bool:
        if holds:
            return self.keeps(probability)
        lead = min(LEAD_INTERVALS, self.settings.ttl_intervals)
        return within(lead, probability) >= self.own.offer_probability


POLICIES: Mapping[str, type[Policy]] = {
    "ionn": Ionn,
    "perdnn": PerDnn,
    "visits": Visits,
    "benefit": Benefit,
    "pull": Pull,
    "routing": Routing,
    "follow_me": FollowMe,
    "popular": Popular,
    "download": Download,
    "handoff": Handoff,
    "cloud": Cloud,
    "optimal": Optimal,
}


def find_policy(name: str) -> type[Policy]:
    """Return the policy class of this name, or of package.module:Class.

    Raises ConfigurationError if there is none, or it is no subclass of `Policy`.
    """
    if name in POLICIES:
        return POLICIES[name]
    return load_class("policy", name, Policy, POLICIES)  # type: ignore[type-abstract]


def build_policy(settings: Experiment) -> Policy:
    """Return the policy of an experiment, with its own settings.

    Raises ConfigurationError if there is no such policy, or its own settings are not possible.
    """
    name = settings.migration.policy
    policy = find_policy(name)
    own = own_settings("policy", name, policy.Settings, settings.policy)
    arguments = (settings.migration, *((own,) if own.__struct_fields__ else ()))
    return instance("policy", name, lambda: policy(*arguments))


def build_predictor(settings: Experiment) -> Predictor:
    """Return the predictor of an experiment, or else its policy's; it has learnt nothing yet.

    Raises ConfigurationError if there is no such predictor, or it cannot be built.
    """
    name = predictor_name(settings.migration)
    predictor, n = find_predictor(name), settings.migration.trajectory_length
    own = own_settings("predictor", name, predictor.Settings, settings.predictor)
    arguments = (n, *((own,) if own.__struct_fields__ else ()))
    return instance("predictor", name, lambda: predictor(*arguments))


def predictor_name(settings: Migration) -> str:
    """Return the name of the predictor that runs: the one that is set, or the policy's."""
    return settings.predictor or find_policy(settings.policy).predictor


def resolved(settings: Experiment) -> Experiment:
    """Return an experiment with every setting that its policy and its predictor declare.

    Raises ConfigurationError as `build_policy` and `build_predictor` do.
    """
    own = build_policy(settings).own, build_predictor(settings).own
    policy, predictor = (msgspec.to_builtins(each) for each in own)
    return replace(settings, policy=policy, predictor=predictor)
