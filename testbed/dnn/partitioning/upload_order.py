"""In which order a server's layers are sent to it: highest efficiency first (section III.C).

The efficiency of a run of consecutive layers is the latency that a query saves once the server has
them, over their bytes. The best run goes first, the efficiencies of the rest are updated, and so on
until all layers are sent. Latency is that of the linearised path of `partition.shortest_path` over
the layers that the server has so far.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import inf

import numpy as np

from testbed.arrays import BoolArray, FloatArray
from testbed.dnn.graph import LayerGraph, stretches
from testbed.dnn.partitioning.partition import Costs, crossing_s

NO_CARRIER = -1
NOTHING_SAVED = 1e-12  # of the local latency, if that exceeds 1 s: what sums of doubles resolve
EQUAL_EFFICIENCY = 1e-9  # relative; runs closer than this tie, and the earliest, shortest one goes


def carriers(graph: LayerGraph, on_server: BoolArray) -> list[int]:
    """Return for each layer the layer whose weights bring it to the server.

    A layer with weights brings itself. One without travels with the next layer of its server-side
    run that has weights or, at the run's end, with the last one before; a run without any weights
    needs no transfer (`NO_CARRIER`). The same holds among the layers that the plan `on_server`,
    (n,), leaves at the client.
    """
    known = graph.derived.setdefault("carriers", {})
    plan = on_server.tobytes()
    if plan not in known:
        known[plan] = _carriers(graph, on_server)
    return list(known[plan])


def _carriers(graph: LayerGraph, on_server: BoolArray) -> list[int]:
    result = [NO_CARRIER] * len(graph)
    weight_bytes = graph.weight_bytes.tolist()
    for side in (on_server, ~on_server):
        for first, last in stretches(side):
            weighted = [i for i in range(first, last + 1) if weight_bytes[i]]
            following = iter(weighted)
            carrier = next(following, NO_CARRIER)
            for index in range(first, last + 1):
                result[index] = carrier
                if index == carrier and index != weighted[-1]:
                    carrier = next(following)
    return result


def available_layers(
    graph: LayerGraph, present: Collection[int], on_server: BoolArray
) -> BoolArray:
    """Return which layers a server can execute, (n,), given the layers whose weights it has.

    `on_server`, (n,), is the plan: it decides what the layers without weights travel with. A layer
    that also reads another layer's weights needs that one present as well.
    """
    there = np.zeros(len(graph) + 1, dtype=bool)
    there[[NO_CARRIER, *present]] = True  # the last entry: what needs no transfer
    available = there[carriers(graph, on_server)]
    for layer, owner in graph.weight_sharing:
        available[layer] &= there[owner]
    return available


def nothing_saved_s(costs: Costs) -> float:
    """Return the seconds up to which a saving is rounding."""
    return NOTHING_SAVED * max(1.0, float(costs.client_s.sum()))


def upload_order(graph: LayerGraph, costs: Costs, on_server: BoolArray) -> list[list[int]]:
    """Return the server-side layers of the plan `on_server`, (n,), as runs in order of sending.

    When no run of what is left saves time by itself, the rest follows in topological order.
    """
    units = _units(graph, on_server)
    search = _RunSearch(graph, costs, units)
    order: list[list[int]] = []
    while (run := search.best()) is not None:
        order.append([i for unit in units[run[0] : run[1] + 1] for i in unit.layers])
        search.upload(*run)
    for first, last in search.remaining():
        order.append([i for unit in units[first : last + 1] for i in unit.layers])
    return order


def weighted_runs(graph: LayerGraph, costs: Costs, on_server: BoolArray) -> list[tuple[int, ...]]:
    """Return the runs of `upload_order` without the layers that have no weights to send."""
    weight_bytes = graph.weight_bytes
    runs = (
        tuple(layer for layer in run if weight_bytes[layer])
        for run in upload_order(graph, costs, on_server)
    )
    return [run for run in runs if run]


def fraction(order: Iterable[Iterable[int]], graph: LayerGraph, limit_bytes: float) -> list[int]:
    """Return the first layers of `order` whose weights fit into `limit_bytes` together."""
    layers = [layer for run in order for layer in run]
    sent_bytes = accumulate(graph.layers[layer].weight_bytes for layer in layers)
    return layers[: sum(size <= limit_bytes for size in sent_bytes)]


@dataclass(frozen=True)
class _Unit:
    """Consecutive layers that are sent together, or a stretch that stays at the client."""

    layers: range
    weight_bytes: int
    offloaded: bool


def _units(graph: LayerGraph, on_server: BoolArray) -> list[_Unit]:
    """Cut the layers into what travels together, in topological order."""
    carried_by, remote = carriers(graph, on_server), on_server.tolist()
    starts = [0]
    for index in range(1, len(graph)):
        same_side = remote[index] == remote[index - 1]
        together = not remote[index] or carried_by[index] == carried_by[index - 1]
        if not (same_side and together):
            starts.append(index)
    ends = [*starts[1:], len(graph)]
    size = np.add.reduceat(graph.weight_bytes, starts).tolist()
    return [
        _Unit(range(a, b), size[unit], remote[a])
        for unit, (a, b) in enumerate(zip(starts, ends, strict=True))
    ]


class _RunSearch:
    """The efficiency of every run of units that is not uploaded yet, kept up to date.

    Costs between boundaries are 2 x 2 matrices in the (min, +) algebra, indexed by where the data
    is before and after: 0 the client, 1 the server. A unit that is not uploaded executes at the
    client, so beside one the data is at the client, or at the server for the price of a crossing.
    What a run saves therefore depends on itself and, at its ends, on the uploaded units that touch
    it: an upload changes the runs that end where it begins, and those that begin where it ends.
    """

    def __init__(self, graph: LayerGraph, costs: Costs, units: Sequence[_Unit]) -> None:
        n = len(units)
        self._up_s, self._down_s = crossing_s(graph, costs)
        self._client_s, self._server_s = costs.client_s.tolist(), costs.server_s.tolist()
        self._nothing_saved_s = nothing_saved_s(costs)
        self._pending = np.array([unit.offloaded for unit in units])
        self._uploaded = np.zeros(n, dtype=bool)
        # How much later than at the client the data is at the server before a unit, and how much
        # longer than now the rest takes with the data at the client, and at the server, after it
        self._before_s = np.array([self._up_s[unit.layers.start] for unit in units])
        self._after_s = np.array([np.zeros(n), np.full(n, inf)])
        self._sent_bytes = _sums([unit.weight_bytes for unit in units])
        self._local_s = _sums([sum(self._client_s[i] for i in unit.layers) for unit in units])
        self._runs = np.full((2, 2, n, n), inf)  # [before, after, last unit, first unit]
        self._efficiency = np.zeros((n, n))  # [first unit, last unit]; 0 for what is no pending run
        for first, last in stretches(self._pending):
            self._fill_runs(units, first, last)
            self._rate(slice(first, last + 1), slice(first, last + 1))

    def best(self) -> tuple[int, int] | None:
        """Return (first, last) of the most efficient run; None when no run saves time."""
        top = float(self._efficiency.max())
        if top <= 0.0:
            return None
        first, last = divmod(
            int(np.argmax(self._efficiency >= top * (1 - EQUAL_EFFICIENCY))), len(self._pending)
        )
        return first, last

    def upload(self, first: int, last: int) -> None:
        """Take units `first` to `last` as being at the server from now on."""
        self._pending[first : last + 1] = False
        self._uploaded[first : last + 1] = True
        self._efficiency[: last + 1, first:] = 0.0  # all runs that contain one of them
        start, end = next(run for run in stretches(self._uploaded) if run[0] <= first <= run[1])
        (cc, cs), (sc, ss) = self._runs[:, :, end, start].tolist()
        up_s = float(self._before_s[start])
        for low, high in self.remaining():
            if high == start - 1:
                rest_s = min(cc, up_s + sc)
                self._after_s[:, high] = cc - rest_s, sc - rest_s
                self._rate(slice(low, high + 1), slice(high, high + 1))
            elif low == end + 1:
                self._before_s[low] = min(cs, up_s + ss) - min(cc, up_s + sc)
                self._rate(slice(low, low + 1), slice(low, high + 1))

    def remaining(self) -> list[tuple[int, int]]:
        """Return (first, last) of each stretch of units that is not uploaded yet."""
        return list(stretches(self._pending))

    def _rate(self, firsts: slice, lasts: slice) -> None:
        """Compute the seconds saved a byte by the runs from one of `firsts` to one of `lasts`."""
        (cc, cs), (sc, ss) = self._runs[:, :, lasts, firsts]
        before_s, after_s = self._before_s[firsts], self._after_s[:, lasts, None]
        at_client_s = np.minimum(cc, before_s + sc) + after_s[0]
        at_server_s = np.minimum(cs, before_s + ss) + after_s[1]
        local_s = self._local_s[1:][lasts, None] - self._local_s[:-1][firsts]
        saved_s = local_s - np.minimum(at_client_s, at_server_s)
        size = self._sent_bytes[1:][lasts, None] - self._sent_bytes[:-1][firsts]
        with np.errstate(divide="ignore", invalid="ignore"):  # what costs no bytes goes first
            efficiency = np.where(saved_s > self._nothing_saved_s, saved_s / size, 0.0)
        self._efficiency[firsts, lasts] = efficiency.T

    def _matrix(self, unit: _Unit) -> _Matrix:
        """The unit's layers at the server where that is cheaper."""
        rows = []
        for start in ((0.0, inf), (inf, 0.0)):
            client, server = start
            for index in unit.layers:
                ran_client = client + self._client_s[index]
                ran_server = server + self._server_s[index]
                client = min(ran_client, ran_server + self._down_s[index + 1])
                server = min(ran_server, ran_client + self._up_s[index + 1])
            rows.append((client, server))
        return rows[0], rows[1]

    def _fill_runs(self, units: Sequence[_Unit], first: int, last: int) -> None:
        """Compute the matrices of all runs inside units [first, last], one last unit at a time."""
        runs = self._runs
        for end in range(first, last + 1):
            unit = (cc, cs), (sc, ss) = self._matrix(units[end])
            at_client, at_server = runs[:, 0, end - 1, first:end], runs[:, 1, end - 1, first:end]
            runs[:, 0, end, first:end] = np.minimum(at_client + cc, at_server + sc)
            runs[:, 1, end, first:end] = np.minimum(at_client + cs, at_server + ss)
            runs[:, :, end, end] = unit


def _sums(values: Sequence[float]) -> FloatArray:
    """Return the sums of the first 0 to n values, (n + 1,)."""
    return np.concatenate(([0.0], np.cumsum(values, dtype=float)))


_Matrix = tuple[tuple[float, float], tuple[float, float]]
