"""Which layers run at the client and which at the server (section III.C).

The cost model: layers execute one after the other, each at its side's time; a tensor that a layer
on the other side needs (the query's input included, which starts at the client) is sent once, at
its bits over the rate of that direction; the answer must end at the client.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import Optional

import msgspec
import numpy as np
import numpy.typing as npt

from testbed.arrays import BoolArray
from testbed.dnn.graph import INPUT, LayerGraph, stretches
from testbed.errors import ConfigurationError

_Path = tuple[int, Optional["_Path"]]


@dataclass(frozen=True)
class Costs:
    """What executing a layer and sending a byte cost.

    `client_s` and `server_s` are seconds of each layer on either side, (n,); the rates are those
    from client to server (`up_bps`) and back (`down_bps`).
    """

    client_s: npt.NDArray[np.float64]
    server_s: npt.NDArray[np.float64]
    up_bps: float
    down_bps: float

    def __post_init__(self) -> None:
        if not (self.up_bps > 0 and self.down_bps > 0):
            raise ConfigurationError(
                f"rates must be above 0 bit/s: up {self.up_bps:g}, down {self.down_bps:g}"
            )


class Segment(msgspec.Struct, frozen=True):
    """A run of layers, `first` to `last` inclusive, that execute on one side."""

    on_server: bool
    first: int
    last: int


class Plan(msgspec.Struct, frozen=True):
    """Where each layer of a model runs, and how long a query then takes."""

    on_server: tuple[bool, ...]
    latency_s: float
    local_latency_s: float
    upload_bytes: int

    @property
    def mask(self) -> BoolArray:
        """Whether each layer runs at the server, (n,)."""
        return np.array(self.on_server, dtype=bool)

    @property
    def server_layers(self) -> tuple[int, ...]:
        """Indices of the layers that run at the server, ascending."""
        return tuple(index for index, remote in enumerate(self.on_server) if remote)

    def segments(self) -> tuple[Segment, ...]:
        """The runs of layers on one side, in the order of execution."""
        mask = self.mask
        runs = [Segment(True, *run) for run in stretches(mask)]
        runs += [Segment(False, *run) for run in stretches(~mask)]
        return tuple(sorted(runs, key=lambda segment: segment.first))


#: Returns a plan for a graph and its costs, with server layers only where they are available, (n,);
#: None: everywhere.
Planner = Callable[[LayerGraph, Costs, BoolArray | None], Plan]


def crossing_s(graph: LayerGraph, costs: Costs) -> tuple[list[float], list[float]]:
    """Seconds to carry all live tensors up, and down, at each boundary, (n + 1,) each."""
    bits = 8.0 * graph.live_bytes
    return (bits / costs.up_bps).tolist(), (bits / costs.down_bps).tolist()


def latency(graph: LayerGraph, costs: Costs, on_server: BoolArray) -> float:
    """Return the seconds of a query under the cost model, for any assignment `on_server`, (n,)."""
    producers, consumers = graph.edges
    # One more entry serves both ends, which are at the client: -1 the query's input, n the answer
    side = np.zeros(len(graph) + 1, dtype=bool)
    side[:-1] = on_server
    crosses = side[producers] != side[consumers]
    sent = {False: 0, True: 0}  # bytes by the side that they come from
    for producer in set(producers[crosses].tolist()):
        sent[producer != INPUT and bool(on_server[producer])] += graph.bytes_of(producer)
    execution_s = np.where(on_server, costs.server_s, costs.client_s).sum()
    return float(execution_s) + 8.0 * (sent[False] / costs.up_bps + sent[True] / costs.down_bps)


def shortest_path(
    graph: LayerGraph,
    costs: Costs,
    available: BoolArray | None = None,
    boundaries: BoolArray | None = None,
) -> Plan:
    """Return the plan of Fig. 5's shortest path, with layers only where they are `available`.

    The layers are taken as a line in topological order, and changing sides at a boundary costs all
    tensors that are live there. On a chain that is the cost model itself, so the plan is optimal;
    on other graphs it may count a tensor again that the other side already has, so the plan is the
    best of this upper bound and a better one may exist (`minimum_cut` finds it). `latency_s` is the
    plan's true latency under the cost model. `available`, (n,), says which layers the server has;
    all by default. Sides change only at `boundaries`, (n + 1,), the first and last among them; at
    all by default.
    """
    on_server = _cheapest_sides(graph, costs, available, boundaries)
    while (stranded := _without_shared_weights(graph, on_server)) is not None:
        available = np.ones(len(graph), dtype=bool) if available is None else available.copy()
        available[stranded] = False
        on_server = _cheapest_sides(graph, costs, available, boundaries)
    return plan_of(graph, costs, on_server)


def plan_of(graph: LayerGraph, costs: Costs, on_server: BoolArray) -> Plan:
    """Return the plan with this assignment, (n,), and what it costs."""
    return Plan(
        on_server=tuple(on_server.tolist()),
        latency_s=latency(graph, costs, on_server),
        local_latency_s=float(costs.client_s.sum()),
        upload_bytes=upload_bytes(graph, on_server),
    )


def upload_bytes(graph: LayerGraph, on_server: BoolArray) -> int:
    """Return the bytes of the weights that the server needs for its layers."""
    return int(graph.weight_bytes @ on_server)


def _cheapest_sides(
    graph: LayerGraph, costs: Costs, available: BoolArray | None, boundaries: BoolArray | None
) -> BoolArray:
    """Walk the boundaries with what the data costs more at the server than at the client.

    That difference never exceeds the way up, nor falls below minus the way down: at either end the
    other side's best path is followed by a crossing. A path is (boundary of its last crossing, the
    path on the other side before it).
    """
    first_s, most_s, least_s = _bounds_s(graph, costs)
    if boundaries is not None:
        most_s = np.where(boundaries[1:], most_s, inf).tolist()
        least_s = np.where(boundaries[1:], least_s, -inf).tolist()
    gain_s = costs.server_s - costs.client_s
    if available is not None:
        gain_s[~available] = inf
    ahead_s = first_s
    to_client: _Path | None = None
    to_server: _Path = (0, None)
    for boundary, gain, most, least in zip(count(1), gain_s.tolist(), most_s, least_s):
        ahead_s += gain
        if ahead_s > most:
            ahead_s = most
            to_server = (boundary, to_client)
        elif ahead_s < least:
            ahead_s = least
            to_client = (boundary, to_server)
    on_server = np.zeros(len(graph), dtype=bool)
    path = to_client
    while path is not None:
        end, entered = path
        assert entered is not None, "the data is at the client at first"
        on_server[entered[0] : end] = True
        path = entered[1]
    return on_server


def _bounds_s(graph: LayerGraph, costs: Costs) -> tuple[float, list[float], list[float]]:
    """The way up at the first boundary; at the others, the way up, and minus the way down."""
    rates = costs.up_bps, costs.down_bps
    known, bounds = graph.derived.get("bounds_s", (None, (0.0, [], [])))
    if known != rates:
        up_s, down_s = crossing_s(graph, costs)
        bounds = up_s[0], up_s[1:], [-way_down for way_down in down_s[1:]]
        graph.derived["bounds_s"] = rates, bounds
    return bounds


def _without_shared_weights(graph: LayerGraph, on_server: BoolArray) -> int | None:
    """Return a layer at the server that reads weights of a layer which is not there, if any."""
    shared = graph.weight_sharing
    return next((i for i, owner in shared if on_server[i] and not on_server[owner]), None)
