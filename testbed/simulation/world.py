"""What all clients of a run in virtual time share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

from testbed.decision.holdings import Holdings
from testbed.decision.policy import CLOUD, Image, Policy, Situation
from testbed.decision.time_to_live import time_to_live_s
from testbed.dnn.partitioning.cold_start import ColdStart, cold_start
from testbed.errors import ConfigurationError
from testbed.simulation.exact_attachment import Sharing
from testbed.simulation.fluid.layer_stream import LayerStream
from testbed.simulation.foresight import Expected
from testbed.values import AccessPoint, Offer, Prediction


@dataclass(frozen=True, eq=False)
class World:
    """What all clients of a run share."""

    access_points: Sequence[AccessPoint]  # in the order by which they are numbered
    policy: Policy  # who gets which layers when
    stream: LayerStream  # the model
    interval_s: float  # of a step
    duration_s: float  # of the run
    gap_s: float  # from an answer to the next query
    sharing: Sharing  # of the uplink
    kept_s: float  # how long servers keep the layers of clients that left

    @cached_property
    def names(self) -> list[str]:
        """The servers' names by number; the cloud is the last."""
        return [*(each.name for each in self.access_points), CLOUD]

    @cached_property
    def number_of(self) -> dict[str, int]:
        """The servers' numbers by name."""
        return {name: number for number, name in enumerate(self.names)}

    @cached_property
    def _access_point_numbers(self) -> dict[str, int]:
        return {each.name: number for number, each in enumerate(self.access_points)}

    @property
    def up_bytes_s(self) -> float:
        """What a client uploads in a second, headers included, as the master supposes it."""
        return self.stream.offloading.costs.up_bps / 8

    @cached_property
    def time_to_live_s(self) -> float:
        """How long an offer holds layers."""
        return time_to_live_s(self.policy.settings.ttl_intervals, self.interval_s)

    @cached_property
    def layer_bytes(self) -> Sequence[int]:
        """The weights of each layer of the model."""
        sizes: list[int] = self.stream.offloading.graph.weight_bytes.tolist()
        return sizes

    @cached_property
    def _cold_start(self) -> ColdStart:
        offloading = self.stream.offloading
        return cold_start(
            offloading.graph,
            offloading.costs,
            offloading.plan.mask,
            offloading.runs(),
            gap_s=self.gap_s,
            within_s=self.interval_s,
            planner=offloading.planner,
        )

    def cold_start(self, server: str) -> ColdStart:
        """Return the queries in the interval after a visit, by how much of the plan is there."""
        return self._cold_start

    def plan(self, server: str) -> Sequence[int]:
        """Return the layers that a server shall have, in the order of upload."""
        return self.stream.layers

    @cached_property
    def routes(self) -> bool:
        """Whether clients may use another server than their access point's."""
        return type(self.policy).serving is not Policy.serving

    def image(self, holder: int) -> Image | None:
        """Return what a server has to get whole first; `holder` had it last, -1 for nobody."""
        holds = self.names[holder] if holder >= 0 else None
        return self.policy.image(float(sum(self.layer_bytes)), holds)

    def preloads(self, server: int) -> bool:
        """Whether a server has everyone's layers from the start."""
        return self.policy.preloads(self.names[server])

    def serving(self, place: int, before: int) -> int:
        """Return who executes for a client at an access point; `before` did, -1 for nobody.

        Raises ConfigurationError if the policy names no server of this run.
        """
        server = self.policy.serving(self.names[place], self.names[before] if before >= 0 else None)
        if server not in self._access_point_numbers and not (
            server == CLOUD and self.policy.in_cloud
        ):
            raise ConfigurationError(
                f"{type(self.policy).__name__}: {server!r} serves clients, which is no access point"
                " of this run"
            )
        return self.number_of[server]

    def step_s(self, step: int) -> float:
        """Return when a step begins, at the latest the run's end."""
        return min(step * self.interval_s, self.duration_s)

    def wanted_bytes(self, layers: Sequence[int]) -> int:
        """Return how much of the stream an offer is about.

        Raises ConfigurationError if its layers are in another order than that of upload.
        """
        if layers is self.stream.layers:
            return self.stream.size_bytes
        try:
            return self.stream.bytes_of(layers)
        except ValueError as error:
            raise ConfigurationError(
                f"{type(self.policy).__name__}: {error}; the simulator has no other offers"
            ) from error

    def situation(
        self,
        client: str,
        place: int,
        now_s: float,
        holdings: Holdings,
        expected: Expected,
        row: int,
    ) -> Situation:
        """Return what the master knows of a client at an access point, by what is expected."""
        x_m, y_m = expected.surroundings.places_m[row]
        return Situation(
            current=self.names[place],
            prediction=Prediction(client, now_s, x_m, y_m),
            around=partial(expected.surroundings.around, row),
            plan=self.plan,
            layer_bytes=self.layer_bytes,
            ends_s=now_s + self.interval_s,
            until_s=now_s + self.time_to_live_s,
            visits=partial(expected.visits, row),
            holdings=holdings,
            cold_start=self.cold_start,
        )

    def offers(self, situation: Situation) -> dict[int, Offer]:
        """Return what the policy offers, by the number of the destination.

        Raises ConfigurationError for an offer that the simulator does not carry out, or one to an
        unknown server.
        """
        answer = self.policy.offers(situation)
        if answer == []:
            return {}
        name, found = type(self.policy).__name__, {}
        client, time_s = situation.prediction.client, situation.prediction.time_s
        known, ends_s = self._access_point_numbers, situation.ends_s
        try:
            offers = [*answer]
            for offer in offers:
                destination = known.get(offer.destination)
                if destination is None or offer.source not in known:
                    raise ConfigurationError(
                        f"{name}: offers from {offer.source!r} to {offer.destination!r}, which are"
                        " not both access points of this run"
                    )
                if offer.ends_s != ends_s:
                    raise ConfigurationError(
                        f"{name}: an offer ends at {offer.ends_s} s; in the simulator all end with"
                        f" the interval, at {ends_s:g} s"
                    )
                if not offer.until_s > time_s or offer.client != client:
                    raise ConfigurationError(
                        f"{name}: an offer for {offer.client} until {offer.until_s} s, made at"
                        f" {time_s:g} s for {client}"
                    )
                found[destination] = offer
        except (TypeError, AttributeError) as error:
            raise ConfigurationError(f"{name}: these are no offers: {error}") from error
        if len(found) < len(offers):
            raise ConfigurationError(f"{name}: two offers to one server; offer all at once")
        return found
