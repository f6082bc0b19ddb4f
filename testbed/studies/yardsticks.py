"""Policies that others are measured by: one that knows the future, and parts of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec.structs import replace

from testbed.decision.benefit import Benefit
from testbed.decision.policies import PerDnn, Visits
from testbed.decision.policy import Situation
from testbed.mobility.visits import HORIZON
from testbed.simulation.foresight import ClientPath
from testbed.values import AccessPoint, Offer


class Oracle(Benefit):
    """Benefit per byte where the visits of the next intervals are known."""

    predictor = "stay"
    clients: ClassVar[Mapping[str, ClientPath]] = {}
    names: ClassVar[Sequence[str]] = ()

    @classmethod
    def tell(cls, clients: Sequence[ClientPath], access_points: Sequence[AccessPoint]) -> None:
        """Say who walks where in the runs to come."""
        cls.clients = {client.name: client for client in clients}
        cls.names = [each.name for each in access_points]

    def offers(self, situation: Situation) -> list[Offer]:
        """Return the offers of the policy `benefit` for what will be."""
        known = self._known(situation)
        return super().offers(replace(situation, visits=lambda: known))

    def _known(self, situation: Situation) -> dict[str, tuple[float, ...]]:
        """Return 1 for each server from the interval of its next visit on, and 0 before."""
        prediction = situation.prediction
        client = self.clients[prediction.client]
        step = round(prediction.time_s / (situation.ends_s - prediction.time_s))
        begin = step + 1 - client.enters
        ahead = [self.names[number] for number in client.attached[begin : begin + HORIZON]]
        return {
            server: tuple(float(server in ahead[: interval + 1]) for interval in range(HORIZON))
            for server in dict.fromkeys(ahead)
        }


class SendersLimited(PerDnn):
    """Crowded servers send a fraction; what others send to them is whole."""

    memoryless = True

    def is_limited(self, source: str, destination: str) -> bool:
        """Whether the sender is crowded."""
        return source in self.settings.crowded


class HeldCircles(PerDnn):
    """Circles whose layers are held as `Visits` holds them."""

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers in the circle, those in a wider one that hold, and the current one."""
        near = situation.around(self.settings.radius_m)
        wider = situation.around(2 * self.settings.radius_m)
        held = [server for server in wider if situation.holds(server)]
        return list(dict.fromkeys([situation.current, *near, *held]))


class NotHeld(Visits):
    """Offers by one probability, whether layers are there or not; none to the current server."""

    def destinations(self, situation: Situation) -> Sequence[str]:
        """Return the servers that are probable enough."""
        return [
            server
            for server, probability in situation.visits().items()
            if probability[-1] >= self.own.offer_probability and server != situation.current
        ]
