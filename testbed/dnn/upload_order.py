"""In which order a server's layers are sent to it: highest efficiency first (section III.C).

The efficiency of a run of consecutive layers is the latency that a query saves once the server has
them, over their bytes. The best run goes first, the efficiencies of the rest are updated, and so on
until all layers are sent. Latency is that of the linearised path of `partition.shortest_path` over
the layers that the server has so far.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from testbed.dnn.graph import LayerGraph, stretches
from testbed.dnn.partition import Costs, Mask, crossing_s

NO_CARRIER = -1
NOTHING_SAVED_S = 1e-12  # below what sums of doubles resolve for queries of seconds
EQUAL_EFFICIENCY = 1e-9  # relative; runs closer than this tie, and the earliest, shortest one goes

Floats = npt.NDArray[np.float64]


def carriers(graph: LayerGraph, on_server: Mask) -> list[int]:
    """Return for each layer the layer whose weights bring it to the server.

    A layer with weights brings itself. One without travels with the next layer of its server-side
    run that has weights or, at the run's end, with the last one before; a run without any weights
    needs no transfer (`NO_CARRIER`). The same holds among the layers that the plan `on_server`,
    (n,), leaves at the client.
    """
    result = [NO_CARRIER] * len(graph)
    for side in (on_server, ~on_server):
        for first, last in stretches(side):
            weighted = [i for i in range(first, last + 1) if graph.weight_bytes[i]]
            following = iter(weighted)
            carrier = next(following, NO_CARRIER)
            for index in range(first, last + 1):
                result[index] = carrier
                if index == carrier and index != weighted[-1]:
                    carrier = next(following)
    return result


def available_layers(graph: LayerGraph, present: Collection[int], on_server: Mask) -> Mask:
    """Return which layers a server can execute, (n,), given the layers whose weights it has.

    `on_server`, (n,), is the plan: it decides what the layers without weights travel with. A layer
    that also reads another layer's weights needs that one present as well.
    """
    there = {NO_CARRIER, *present}
    return np.array(
        [
            carrier in there and there.issuperset(layer.weights_of)
            for carrier, layer in zip(carriers(graph, on_server), graph.layers, strict=True)
        ],
        dtype=bool,
    )


def upload_order(graph: LayerGraph, costs: Costs, on_server: Mask) -> list[list[int]]:
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


def fraction(order: Iterable[Iterable[int]], graph: LayerGraph, limit_bytes: float) -> list[int]:
    """Return the first layers of `order` whose weights fit into `limit_bytes` together."""
    chosen: list[int] = []
    total = 0
    for index in (index for run in order for index in run):
        total += graph.layers[index].weight_bytes
        if total > limit_bytes:
            break
        chosen.append(index)
    return chosen


@dataclass(frozen=True)
class _Unit:
    """Consecutive layers that are sent together, or a stretch that stays at the client."""

    layers: range
    weight_bytes: int
    offloaded: bool


def _units(graph: LayerGraph, on_server: Mask) -> list[_Unit]:
    """Cut the layers into what travels together, in topological order."""
    carried_by = carriers(graph, on_server)
    starts = [0]
    for index in range(1, len(graph)):
        same_side = on_server[index] == on_server[index - 1]
        together = not on_server[index] or carried_by[index] == carried_by[index - 1]
        if not (same_side and together):
            starts.append(index)
    ends = [*starts[1:], len(graph)]
    return [
        _Unit(range(a, b), int(graph.weight_bytes[a:b].sum()), bool(on_server[a]))
        for a, b in zip(starts, ends, strict=True)
    ]


class _RunSearch:
    """The efficiency of every run of units that is not uploaded yet, kept up to date.

    Costs between boundaries are 2 x 2 matrices in the (min, +) algebra, indexed by where the data
    is before and after: 0 the client, 1 the server. A query's latency with one more run uploaded is
    prefix vector * run matrix * suffix vector; run matrices never change, and an upload changes the
    vectors only.
    """

    def __init__(self, graph: LayerGraph, costs: Costs, units: Sequence[_Unit]) -> None:
        n = len(units)
        self._up_s, self._down_s = crossing_s(graph, costs)
        self._client_s, self._server_s = costs.client_s.tolist(), costs.server_s.tolist()
        self._offloaded = [self._matrix(unit) for unit in units]
        self._steps = [self._local_matrix(unit) for unit in units]
        self._pending = np.array([unit.offloaded for unit in units])
        self._run_bytes = np.concatenate(
            ([0.0], np.cumsum([unit.weight_bytes for unit in units], dtype=float))
        )
        self._runs = np.full((2, 2, n, n), inf)  # of units [first, last]
        for first, last in stretches(self._pending):
            self._fill_runs(first, last)
        self._update_vectors()

    def best(self) -> tuple[int, int] | None:
        """Return (first, last) of the most efficient run; None when no run saves time."""
        found: list[tuple[float, int, int]] = []
        for first, last in stretches(self._pending):
            efficiency = self._efficiencies(first, last)
            top = float(efficiency.max())
            if top > 0:
                ties = np.argwhere(efficiency >= top * (1 - EQUAL_EFFICIENCY))
                start, end = ties[0].tolist()
                found.append((top, first + start, first + end))
        if not found:
            return None
        limit = max(top for top, _, _ in found) * (1 - EQUAL_EFFICIENCY)
        return next((start, end) for top, start, end in found if top >= limit)

    def upload(self, first: int, last: int) -> None:
        """Take units `first` to `last` as being at the server from now on."""
        self._pending[first : last + 1] = False
        self._steps[first : last + 1] = self._offloaded[first : last + 1]
        self._update_vectors()

    def remaining(self) -> list[tuple[int, int]]:
        """Return (first, last) of each stretch of units that is not uploaded yet."""
        return list(stretches(self._pending))

    def _efficiencies(self, first: int, last: int) -> Floats:
        """Seconds saved a byte by each run inside units [first, last]; 0 where none are saved."""
        window = slice(first, last + 1)
        runs = self._runs[:, :, window, window]
        before = self._before[:, window]
        after = self._after[:, first + 1 : last + 2]
        at_client = np.minimum(before[0][:, None] + runs[0, 0], before[1][:, None] + runs[1, 0])
        at_server = np.minimum(before[0][:, None] + runs[0, 1], before[1][:, None] + runs[1, 1])
        latency_s = np.minimum(at_client + after[0], at_server + after[1])
        saved_s = self._latency_s - latency_s
        size = self._run_bytes[None, first + 1 : last + 2] - self._run_bytes[window, None]
        with np.errstate(divide="ignore", invalid="ignore"):  # what costs no bytes goes first
            return np.where(saved_s > NOTHING_SAVED_S, saved_s / size, 0.0)

    def _update_vectors(self) -> None:
        """Least cost from the start to each unit boundary, and from it to the end, (2, n + 1)."""
        client, server = 0.0, self._up_s[0]
        before = [(client, server)]
        for (cc, cs), (sc, ss) in self._steps:
            client, server = min(client + cc, server + sc), min(client + cs, server + ss)
            before.append((client, server))
        client, server = 0.0, inf  # the answer ends at the client; the way down is in the steps
        after = [(client, server)]
        for (cc, cs), (sc, ss) in reversed(self._steps):
            client, server = min(cc + client, cs + server), min(sc + client, ss + server)
            after.append((client, server))
        self._before = np.array(before).T
        self._after = np.array(after[::-1]).T
        self._latency_s = before[-1][0]

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

    def _local_matrix(self, unit: _Unit) -> _Matrix:
        """The unit's layers at the client."""
        local_s = sum(self._client_s[index] for index in unit.layers)
        return (local_s, local_s + self._up_s[unit.layers.stop]), (inf, inf)

    def _fill_runs(self, first: int, last: int) -> None:
        """Compute the matrices of all runs inside units [first, last], one last unit at a time."""
        runs = self._runs
        for end in range(first, last + 1):
            (cc, cs), (sc, ss) = self._offloaded[end]
            shorter = runs[:, :, first:end, end - 1]
            runs[:, 0, first:end, end] = np.minimum(shorter[:, 0] + cc, shorter[:, 1] + sc)
            runs[:, 1, first:end, end] = np.minimum(shorter[:, 0] + cs, shorter[:, 1] + ss)
            runs[:, :, end, end] = self._offloaded[end]


_Matrix = tuple[tuple[float, float], tuple[float, float]]
