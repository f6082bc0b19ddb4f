"""Offers and hits of a policy on whole traces, without models, bytes or time (section IV.B.3).

People walk along their paths; at each step the policy is asked which servers shall hold their
layers, with what the predictor says. Transfers take no time and the current server has everything,
as in the paper's hit ratios, so what is measured is whom a policy chooses, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cache, partial
from math import inf
from operator import add
from typing import NamedTuple

import numpy as np

from testbed.arrays import FloatArray, IntArray
from testbed.decision.coordinator import visits
from testbed.decision.holdings import Holdings
from testbed.decision.policy import Policy, Situation
from testbed.decision.time_to_live import time_to_live_s
from testbed.dnn.partitioning.cold_start import ColdStart
from testbed.errors import ConfigurationError
from testbed.mobility.neighbourhood import NOBODY, Neighbourhood, ServerIndex
from testbed.mobility.predictor import Candidates, Predictor, histories
from testbed.simulation.surroundings import Surroundings, neighbourhood_of
from testbed.values import AccessPoint, Prediction

_CLIENT = "walker"


class Foreseen(NamedTuple):
    """What a predictor says at each step of a path, from its n-th position to its last but one."""

    attached: IntArray  # the access point at each of these s steps and at the one after, (s + 1,)
    predicted_m: FloatArray  # the position expected one interval later, (s, 2)
    candidates: Candidates  # servers that may be visited, of s people


@dataclass(frozen=True)
class Offering:
    """What came of a policy's offers."""

    predictions: int = 0  # steps at which the policy was asked
    handovers: int = 0  # changes of access point right after such a step
    hits: int = 0  # handovers to a server that held layers
    transfers: int = 0  # offers to a server that did not hold the client's layers: they cost bytes
    renewals: int = 0  # offers to one that did, or to the current one: they cost a message

    @property
    def hit_ratio(self) -> float:
        """Share of handovers that were hits; NaN without handovers."""
        return self.hits / self.handovers if self.handovers else float("nan")

    @property
    def transfers_per_handover(self) -> float:
        """What the hits cost, for people who move much and little; NaN without handovers."""
        return self.transfers / self.handovers if self.handovers else float("nan")

    def __add__(self, other: Offering) -> Offering:
        return Offering(*map(add, astuple(self), astuple(other)))


def foresee(
    predictor: Predictor, paths: Sequence[FloatArray], servers_m: FloatArray
) -> list[Foreseen]:
    """Ask a fitted predictor at every step of every path; paths of n positions or fewer have none.

    It was fitted with the servers at `servers_m`, (s, 2); paths are unbroken, in metres, (m, 2)
    each.
    """
    index = ServerIndex(servers_m)
    found = []
    for path in paths:
        if len(path) > predictor.n:
            recent = histories(path, predictor.n, predictor.memory)[:-1]
            found.append(
                Foreseen(
                    index.attached(path[predictor.n - 1 :]),
                    predictor.predict(recent),
                    predictor.candidates(recent),
                )
            )
    return found


def offer(
    policy: Policy, foreseen: Sequence[Foreseen], access_points: Sequence[AccessPoint]
) -> Offering:
    """Return what comes of a policy's offers to people who walk as foreseen or not."""
    known = neighbourhood_of(access_points, policy.reach_m)
    return sum((_walk(policy, each, access_points, known) for each in foreseen), Offering())


def _walk(
    policy: Policy,
    foreseen: Foreseen,
    access_points: Sequence[AccessPoint],
    known: Neighbourhood | None,
) -> Offering:
    """Let one person walk; the interval is the unit of time."""
    holdings = Holdings(inf)
    lives = time_to_live_s(policy.settings.ttl_intervals, 1)
    names = [access_points[server].name for server in foreseen.attached]
    surroundings = Surroundings(access_points, foreseen.predicted_m, known)
    handovers = hits = transfers = renewals = 0
    for step, (x_m, y_m) in enumerate(foreseen.predicted_m.tolist()):
        holdings.at(names[step], step)
        situation = Situation(
            current=names[step],
            prediction=Prediction(_CLIENT, step, x_m, y_m),
            around=partial(surroundings.around, step),
            plan=lambda server: (),
            layer_bytes=(),
            ends_s=step + 1,
            until_s=step + lives,
            visits=cache(partial(visits, access_points, foreseen.candidates, step)),
            holdings=holdings,
            cold_start=_nothing_known,
        )
        for each in policy.offers(situation):
            held = situation.holds(each.destination)
            transfers += not held
            renewals += held
            holdings.offer(each.destination, step, each.until_s)
        if names[step + 1] != names[step]:
            handovers += 1
            hits += policy.preloads(names[step + 1]) or holdings.holds(names[step + 1], step + 1)
    return Offering(len(foreseen.predicted_m), handovers, hits, transfers, renewals)


def _nothing_known(server: str) -> ColdStart:
    raise ConfigurationError("there are no layers here to weigh: this policy needs a whole run")


def known_visits(foreseen: Foreseen, horizon: int) -> Foreseen:
    """Return what an oracle would say in a predictor's place: who visits what, for certain.

    It looks `horizon` intervals ahead along the path. Nobody can have more hits, nor the same with
    fewer transfers while layers are held no longer than that without a visit in sight.
    """
    steps = len(foreseen.predicted_m)
    ahead = np.full((steps, horizon), NOBODY)
    for interval in range(1, horizon + 1):
        later = foreseen.attached[interval:]
        ahead[: len(later), interval - 1] = later[:steps]
    visited = ahead[:, :, np.newaxis] == ahead[:, np.newaxis]  # (s, candidate, interval)
    within = np.maximum.accumulate(visited, axis=2).astype(float)
    again = np.tril(visited, -1).any(axis=2)  # a server that an earlier column names already
    servers = np.where(again, NOBODY, ahead)
    within[servers == NOBODY] = 0.0
    return foreseen._replace(candidates=Candidates(servers, within))
