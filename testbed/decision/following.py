"""What follows a client once it has moved: nothing is predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from testbed.decision.policy import Policy, PolicySettings, Situation
from testbed.settings.section import NotNegative
from testbed.values import AccessPoint, Offer

if TYPE_CHECKING:
    from testbed.arrays import FloatArray


class Pull(Policy):
    """Nothing is predicted: who arrives has its layers fetched from the server before.

    That one keeps them for the time to live, since it learns only then that they are wanted.
    """

    predictor = "stay"

    def offers(self, situation: Situation) -> list[Offer]:
        """Return that the serving server keeps what it has, and the one before sends that on."""
        serving, previous = situation.serving, situation.holdings.previous
        offers = [situation.hold(serving)]
        if previous is not None and situation.holds(previous):
            offers = [situation.offer(serving, situation.plan(serving), previous)]
        return offers


class FollowMe(Pull):
    """The service moves once another centre is nearer by a threshold (Follow Me Cloud).

    T. Taleb and A. Ksentini, IEEE Network, 2013; section V.C: the decision goes by distance alone.
    Until then queries are routed to the old server, as with `routing`; then its layers are fetched
    as with `pull`. It is decided at changes of access point. The client counts as being where its
    access point is, whose own server is the nearest centre.
    """

    class Settings(PolicySettings, frozen=True, kw_only=True):
        """How far a client may go from the server that executes for it."""

        threshold_m: Annotated[
            NotNegative,
            Meta(description="the service moves where the nearest server is nearer by more"),
        ] = 200.0

    _places_m: Mapping[str, tuple[float, float]] = {}

    def learn(self, access_points: Sequence[AccessPoint], paths_m: Sequence[FloatArray]) -> None:
        """Remember where the servers are."""
        self._places_m = {each.name: (each.x_m, each.y_m) for each in access_points}

    def serving(self, access_point: str, before: str | None) -> str:
        """Return the server before while it is near enough, else the access point's own."""
        if before is None:
            return access_point
        (x_m, y_m), (before_x_m, before_y_m) = (
            self._places_m[each] for each in (access_point, before)
        )
        away_m = hypot(x_m - before_x_m, y_m - before_y_m)
        return access_point if away_m > self.own.threshold_m else before
