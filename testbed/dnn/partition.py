"""Which layers run at the client and which at the server (section III.C).

The cost model: layers execute one after the other, each at its side's time; a tensor that a layer
on the other side needs (the query's input included, which starts at the client) is sent once, at
its bits over the rate of that direction; the answer must end at the client.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import msgspec
import numpy as np
import numpy.typing as npt

from testbed.dnn.graph import LayerGraph, stretches
from testbed.errors import ConfigurationError

Mask = npt.NDArray[np.bool_]


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
    def mask(self) -> Mask:
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


def crossing_s(graph: LayerGraph, costs: Costs) -> tuple[list[float], list[float]]:
    """Seconds to carry all live tensors up, and down, at each boundary, (n + 1,) each."""
    bits = graph.live_bytes * 8.0
    return (bits / costs.up_bps).tolist(), (bits / costs.down_bps).tolist()


def latency(graph: LayerGraph, costs: Costs, on_server: Mask) -> float:
    """Return the seconds of a query under the cost model, for any assignment `on_server`, (n,)."""
    producers, consumers = graph.edges
    # One more entry serves both ends, which are at the client: -1 the query's input, n the answer
    side = np.append(on_server, False)
    output_bits = 8.0 * np.append(graph.output_bytes, graph.input_bytes)
    sent_to = {}
    for to_server in (True, False):
        needed = np.zeros(len(side), dtype=bool)
        needed[producers[(side[consumers] == to_server) & (side[producers] != to_server)]] = True
        sent_to[to_server] = output_bits[needed].sum()
    execution_s = np.where(on_server, costs.server_s, costs.client_s).sum()
    return float(execution_s + sent_to[True] / costs.up_bps + sent_to[False] / costs.down_bps)


def shortest_path(graph: LayerGraph, costs: Costs, available: Mask | None = None) -> Plan:
    """Return the plan of Fig. 5's shortest path, with layers only where they are `available`.

    The layers are taken as a line in topological order, and changing sides at a boundary costs all
    tensors that are live there. On a chain that is the cost model itself, so the plan is optimal;
    on other graphs it may count a tensor again that the other side already has, so the plan is the
    best of this upper bound and a better one may exist. `latency_s` is the plan's true latency
    under the cost model. `available`, (n,), says which layers the server has; all by default.
    """
    allowed = np.ones(len(graph), dtype=bool) if available is None else available.copy()
    on_server = _cheapest_sides(graph, costs, allowed)
    while (stranded := _without_shared_weights(graph, on_server)) is not None:
        allowed[stranded] = False
        on_server = _cheapest_sides(graph, costs, allowed)
    local_s = float(np.sum(costs.client_s))
    latency_s = latency(graph, costs, on_server)
    return Plan(tuple(on_server.tolist()), latency_s, local_s, upload_bytes(graph, on_server))


def upload_bytes(graph: LayerGraph, on_server: Mask) -> int:
    """Return the bytes of the weights that the server needs for its layers."""
    return int(graph.weight_bytes[on_server].sum())


def _cheapest_sides(graph: LayerGraph, costs: Costs, allowed: Mask) -> Mask:
    """Two states a boundary (data at the client, data at the server), relaxed layer by layer."""
    up_s, down_s = crossing_s(graph, costs)
    client_s, server_s = costs.client_s.tolist(), costs.server_s.tolist()
    at_client, at_server = 0.0, up_s[0]
    from_server = [False]  # whether the best way to have the data at the client is from the server
    from_client = [True]
    for index, may_offload in enumerate(allowed.tolist()):
        ran_client = at_client + client_s[index]
        ran_server = at_server + server_s[index] if may_offload else inf
        fetched, sent = ran_server + down_s[index + 1], ran_client + up_s[index + 1]
        from_server.append(fetched < ran_client)
        from_client.append(sent < ran_server)
        at_client, at_server = min(ran_client, fetched), min(ran_server, sent)
    on_server = np.zeros(len(graph), dtype=bool)
    remote = False  # the answer ends at the client
    for index in range(len(graph) - 1, -1, -1):
        crosses = from_client[index + 1] if remote else from_server[index + 1]
        remote = remote != crosses
        on_server[index] = remote
    return on_server


def _without_shared_weights(graph: LayerGraph, on_server: Mask) -> int | None:
    """Return a layer at the server that reads weights of a layer which is not there, if any."""
    for index, layer in enumerate(graph.layers):
        if layer.weights_of and on_server[index] and not on_server[list(layer.weights_of)].all():
            return index
    return None
