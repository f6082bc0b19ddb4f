"""The values that pass from one stage of a run to the next; all are immutable.

traces -> Fix -> Handover -> (master) Prediction, Offer -> transfers and queries -> records
"""

from __future__ import annotations

from collections.abc import Iterable
from math import hypot
from operator import itemgetter
from typing import Annotated

import msgspec

#: The host of the master server, in every topology.
MASTER = "master"


class AccessPoint(msgspec.Struct, frozen=True):
    """A Wi-Fi access point with an edge server, at the centre of its cell (section IV.B)."""

    name: str
    x_m: float
    y_m: float


def names_around(
    access_points: Iterable[AccessPoint], x_m: float, y_m: float, radius_m: float
) -> list[str]:
    """Return the access points within `radius_m` of a position, nearest first."""
    near = [
        (distance_m, ap.name)
        for ap in access_points
        if (distance_m := hypot(ap.x_m - x_m, ap.y_m - y_m)) <= radius_m
    ]
    near.sort(key=itemgetter(0))
    return [name for _, name in near]


class Fix(msgspec.Struct, frozen=True):
    """Where a client is; `time_s` is emulated time since the run's start (negative: before it)."""

    client: str
    time_s: float
    x_m: float
    y_m: float


class Handover(msgspec.Struct, frozen=True):
    """A client's change of access point at a step of its trace; the first has no `from_ap`."""

    client: str
    time_s: float
    from_ap: str | None
    to_ap: str


class Schedule(msgspec.Struct, frozen=True):
    """All movement of a run, computed once and replayed by whichever engine runs.

    `fixes` are sorted by time and include each client's positions before the window, which the
    master may know; `handovers` has one attachment (no `from_ap`) of each client when it enters, in
    a window at 0 s. Clients take part until one interval after their last position.
    """

    source: str  # "kaist", "synthetic campus", or the folder's name
    start_s: float  # where the window starts in the traces' own time
    duration_s: Annotated[float, msgspec.Meta(gt=0)]
    interval_s: Annotated[float, msgspec.Meta(gt=0)]
    access_points: Annotated[tuple[AccessPoint, ...], msgspec.Meta(min_length=1)]
    clients: dict[str, str]  # client -> trace it walks
    fixes: tuple[Fix, ...]
    handovers: tuple[Handover, ...]
    interpolated: int = 0  # positions of the whole data set that lie between two samples


class Prediction(msgspec.Struct, frozen=True):
    """Where the master expects a client one interval after `time_s` (section III.D)."""

    client: str
    time_s: float
    x_m: float
    y_m: float


class Offer(msgspec.Struct, frozen=True):
    """Layers that one edge server shall hold for a client until `until_s`, best layers first.

    `layers` are indices into the client's layer graph in the order of sending (section III.C). The
    source sends those that it has, and those that it gets, until `ends_s`: one interval later the
    next offers are made. Where source and destination are the same, nothing is sent: the server
    holds what it has.
    """

    client: str
    source: str
    destination: str
    layers: tuple[int, ...]
    ends_s: float
    until_s: float


def client_seed(seed: int, number: int) -> int:
    """Return the seed of a run's client: of its weights, inputs and first query."""
    return seed * 1_000 + number
