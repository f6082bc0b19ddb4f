"""Layers are placed long before by where people have been (proactive caching, femtocaching)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta

from testbed.decision.policy import Policy, PolicySettings, Situation
from testbed.settings.section import Distance
from testbed.values import AccessPoint, Offer

if TYPE_CHECKING:
    from testbed.arrays import FloatArray


class Popular(Policy):
    """The servers that are visited most in the training traces hold everyone's layers, always.

    K. Shanmugam et al., Femtocaching, IEEE Trans. Information Theory, 2013; section V.D. Files are
    placed by their popularity; here everyone asks for one file of their own, so places are popular.
    People who train and people who walk are others, so a walker has no history of its own there.
    Nothing is sent in the run: what was placed before it is not counted. At other servers clients
    upload from scratch.
    """

    class Settings(PolicySettings, frozen=True, kw_only=True):
        """How many servers hold layers, and what a visit is."""

        servers: Annotated[
            int, Meta(ge=1, description="so many of the most visited servers hold layers")
        ] = 20
        visit_m: Annotated[
            Distance, Meta(description="who comes so near to a server, and to no nearer, visits it")
        ] = 50.0

    migrates = False
    preloaded = True
    _holding: Collection[str] = ()

    def learn(self, access_points: Sequence[AccessPoint], paths_m: Sequence[FloatArray]) -> None:
        """Count visits, and choose the servers; those that nobody visits hold nothing."""
        visits = visits_of(access_points, paths_m, self.own.visit_m)
        ranked = sorted(range(len(visits)), key=lambda server: (-visits[server], server))
        chosen = [server for server in ranked[: self.own.servers] if visits[server]]
        self._holding = frozenset(access_points[server].name for server in chosen)

    def preloads(self, server: str) -> bool:
        """Whether it is one of the most visited ones."""
        return server in self._holding

    def offers(self, situation: Situation) -> list[Offer]:
        """Return nothing."""
        return []


def visits_of(
    access_points: Sequence[AccessPoint], paths_m: Sequence[FloatArray], visit_m: float
) -> list[int]:
    """Return how often people came to each server, however long they stayed.

    Paths are unbroken, in metres, (m, 2) each; a position further than `visit_m` from every server
    visits none.
    """
    import numpy as np  # not for --help

    from testbed.mobility.neighbourhood import NOBODY, ServerIndex

    index = ServerIndex(np.array([(each.x_m, each.y_m) for each in access_points]))
    counts = np.zeros(len(access_points), dtype=np.int64)
    for path_m in paths_m:
        servers, distance_m = (found[:, 0] for found in index.nearest(path_m, 1))
        at = np.where(distance_m <= visit_m, servers, NOBODY)
        came = at[np.flatnonzero(np.diff(at, prepend=NOBODY))]
        counts += np.bincount(came[came != NOBODY], minlength=len(counts))
    found: list[int] = counts.tolist()
    return found
