"""What a migration policy is asked and may answer.

A policy decides from what the master knows; it acts on nothing. Emulator and simulator call it at
each report of a client's position.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import msgspec

from testbed.decision.holdings import Holdings
from testbed.settings.offloads import Migration
from testbed.settings.section import Section
from testbed.values import AccessPoint, Offer, Prediction

if TYPE_CHECKING:  # this module is read for --help too, which shall not wait for NumPy
    from testbed.arrays import FloatArray
    from testbed.dnn.partitioning.cold_start import ColdStart

#: Where clients of the policy `cloud` execute: a server that is at no access point.
CLOUD = "cloud"

KEEP_MEANING = "servers that are visited within the TTL with at least this probability keep layers"


def within(intervals: int, probability: Sequence[float]) -> float:
    """Return the probability within some intervals, or within as many as are foreseen."""
    return probability[min(intervals, len(probability)) - 1]


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What the master knows when a client reports its position."""

    current: str  # the server that the client is attached to
    prediction: Prediction
    #: Radius in metres -> the access points within it around the predicted position, nearest first.
    around: Callable[[float], Sequence[str]]
    plan: Callable[[str], Sequence[int]]  # server -> server-side layers, most efficient first
    layer_bytes: Sequence[int]
    ends_s: float  # when the next offers are made
    until_s: float  # when the time to live of an offer made now is over
    #: Returns the probability of a visit within 1, 2, ... intervals for servers near the client.
    visits: Callable[[], Mapping[str, Sequence[float]]]
    #: What the servers are believed to have of the client's model.
    holdings: Holdings
    #: server -> queries in the interval after a visit there, by how much of the plan is there.
    cold_start: Callable[[str], ColdStart]

    @property
    def serving(self) -> str:
        """The server that executes for the client: mostly `current`."""
        return self.holdings.current or self.current

    def holds(self, server: str) -> bool:
        """Whether a server has the client's layers already: it is attached there, or an offer."""
        return self.holdings.holds(server, self.prediction.time_s)

    def ready_bytes(self, server: str) -> float:
        """Return how much a server can send on before the next offers; it may exceed the model."""
        time_s = self.ends_s if server == self.current else self.prediction.time_s
        return self.holdings.bytes_at(server, time_s)

    def offer(self, server: str, layers: Sequence[int], source: str | None = None) -> Offer:
        """Return an offer of layers to a server, sent from the current one or from another."""
        return Offer(
            client=self.prediction.client,
            source=source or self.current,
            destination=server,
            layers=tuple(layers),
            ends_s=self.ends_s,
            until_s=self.until_s,
        )

    def expect(self, offer: Offer, size_bytes: float) -> None:
        """Remember that an offer brings its destination so many bytes, if the source has them."""
        self.holdings.offer(offer.destination, self.prediction.time_s, offer.until_s)
        self.holdings.expect(offer.destination, min(size_bytes, self.ready_bytes(offer.source)))

    def hold(self, server: str) -> Offer:
        """Return an offer by which a server keeps what it has; no bytes move."""
        return self.offer(server, (), source=server)


class Image(NamedTuple):
    """What a server needs whole before it executes anything for a client."""

    source: str  # the server that has it, or `CLOUD`
    size_bytes: float
    most_bps: float  # it is sent at most so fast


class PolicySettings(Section, frozen=True, kw_only=True):
    """Base of the settings that a policy declares as its own, `--set policy.NAME=VALUE`."""


class Policy(ABC):
    """The strategy: override `offers`.

    `settings` of migration are those that all policies have, `own` those that the class declares as
    `Settings`; by default, their defaults.
    """

    Settings: ClassVar[type[PolicySettings]] = PolicySettings
    #: Whether servers hold every client's layers from the start: those that `preloads` says.
    preloaded: ClassVar[bool] = False
    #: Whether one server far away executes for everyone, instead of those at the access points.
    in_cloud: ClassVar[bool] = False
    #: Whether servers start from an `image`; clients then upload nothing.
    from_images: ClassVar[bool] = False
    #: Whether it makes offers at all.
    migrates: ClassVar[bool] = True
    #: Whether offers follow from the current server and the predicted position alone; not
    #: inherited. The simulator then decides once for who stays and is expected at the same place.
    memoryless: ClassVar[bool] = False
    #: Which predictor it goes with, where the settings name none.
    predictor: ClassVar[str] = "svr"

    def __init_subclass__(cls) -> None:
        cls.memoryless = cls.__dict__.get("memoryless", False)

    def __init__(self, settings: Migration, own: PolicySettings | None = None) -> None:
        self.settings = settings
        self.own: Any = own or self.Settings()

    @property
    def reach_m(self) -> float | None:
        """How far around predicted positions it looks for access points, if it always is as far.

        The simulator looks them up for many at once then.
        """
        return None

    def learn(  # noqa: B027  most policies need nothing of this
        self, access_points: Sequence[AccessPoint], paths_m: Sequence[FloatArray]
    ) -> None:
        """Take, before a run, where its servers are and where those went who train, (m, 2) each."""

    def preloads(self, server: str) -> bool:
        """Whether a server holds every client's layers from the start; where `preloaded` is set."""
        return self.preloaded

    def image(self, model_bytes: float, holder: str | None) -> Image | None:
        """Return what a server that a client comes to has to get whole; where `from_images` is set.

        `model_bytes` are the weights of all layers; `holder` is the server that had an image of
        this client's whole last, None where there was none.
        """
        return None

    def serving(self, access_point: str, before: str | None) -> str:
        """Return the server that executes for a client which is now at an access point.

        `before` is the server that did until now, None where there was none. Queries to another
        server than the access point's own, and uploads, go through the backhaul.
        """
        return access_point

    def keeps(self, probability: Sequence[float]) -> bool:
        """Whether a visit within the time to live is probable enough to keep what a server has.

        For policies whose own settings have `keep_probability`.
        """
        return within(self.settings.ttl_intervals, probability) >= self.own.keep_probability

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers that `offers` will plan for; the master asks their load before.

        Where a policy does not say, it plans with the loads that the master last heard of.
        """
        return ()

    @abstractmethod
    def offers(self, situation: Situation) -> list[Offer]:
        """Return the layers to be held, by which servers, sent from the current or another one."""
