"""A policy that knows the future, as the bound of what predictions are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from msgspec.structs import replace

from testbed.benefit import Benefit
from testbed.mobility.visits import HORIZON
from testbed.policy import Situation
from testbed.simulation.foresight import Client
from testbed.values import AccessPoint, Offer


class Oracle(Benefit):
    """Benefit per byte where the visits of the next intervals are known."""

    predictor = "stay"
    clients: ClassVar[Mapping[str, Client]] = {}
    names: ClassVar[Sequence[str]] = ()

    @classmethod
    def tell(cls, clients: Sequence[Client], access_points: Sequence[AccessPoint]) -> None:
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
