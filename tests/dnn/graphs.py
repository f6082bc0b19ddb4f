"""Random layer graphs and plain versions of the algorithms, which the real ones must equal."""

from __future__ import annotations

import itertools

import numpy as np

from testbed.arrays import BoolArray
from testbed.dnn.graph import INPUT, Layer, LayerGraph, TensorSpec
from testbed.dnn.partitioning.partition import Costs
from testbed.dnn.partitioning.upload_order import EQUAL_EFFICIENCY, carriers, nothing_saved_s


def random_graph(rng: np.random.Generator, n: int, *, chain: bool) -> LayerGraph:
    layers = []
    for i in range(n):
        producers = (
            {i - 1} if chain else {int(rng.integers(-1, i)) for _ in range(rng.integers(1, 4))}
        )
        weights = int(rng.integers(1, 3_000_000)) if rng.random() < 0.7 else 0
        inputs = tuple(sorted(producers))
        layers.append(Layer(f"layer{i}", "layer", inputs, weights, int(rng.integers(1, 2_000_000))))
    size = int(rng.integers(1, 2_000_000))
    return LayerGraph("random", tuple(layers), (TensorSpec("x", (size,), "uint8"),), size, (n - 1,))


def random_costs(rng: np.random.Generator, n: int) -> Costs:
    client_s = rng.exponential(0.3, n)
    return Costs(client_s, client_s * rng.uniform(0.001, 0.5, n), 35e6, 50e6)


def plain_latency(graph: LayerGraph, costs: Costs, on_server: BoolArray) -> float:
    total = 0.0
    for i in range(len(graph)):
        total += costs.server_s[i] if on_server[i] else costs.client_s[i]
    for producer in range(-1, len(graph)):
        at_server = producer != INPUT and on_server[producer]
        readers = [
            bool(on_server[q]) for q, layer in enumerate(graph.layers) if producer in layer.inputs
        ]
        if producer in graph.outputs:
            readers.append(False)
        if any(reader != at_server for reader in readers):
            rate = costs.down_bps if at_server else costs.up_bps
            total += graph.bytes_of(producer) * 8 / rate
    return total


def plain_linear_latency(graph: LayerGraph, costs: Costs, on_server: BoolArray) -> float:
    """The linearised path's cost of an assignment: each change of side carries all live tensors."""
    total, remote = 0.0, False
    for i in range(len(graph) + 1):
        side = bool(on_server[i]) if i < len(graph) else False
        assert graph.live_bytes[i] == sum(graph.bytes_of(p) for p in graph.live(i))
        if side != remote:
            size = sum(graph.bytes_of(p) for p in graph.live(i))
            total += size * 8 / (costs.up_bps if side else costs.down_bps)
        remote = side
        if i < len(graph):
            total += costs.server_s[i] if side else costs.client_s[i]
    return total


def assignments(n: int) -> BoolArray:
    """All assignments of n layers to sides, (2**n, n)."""
    return np.array(list(itertools.product((False, True), repeat=n)))


def least_latency(graph: LayerGraph, costs: Costs, allowed: BoolArray | None = None) -> float:
    """Exhaustive search over the assignments of a small graph, tensor by tensor."""
    masks = assignments(len(graph)) if allowed is None else allowed
    total_s = np.where(masks, costs.server_s, costs.client_s).sum(axis=1)
    at_client = np.zeros(len(masks), dtype=bool)
    for producer in range(INPUT, len(graph)):
        at_server = at_client if producer == INPUT else masks[:, producer]
        wanted = {False: at_client.copy(), True: at_client.copy()}  # by side
        if producer in graph.outputs:
            wanted[False][:] = True
        for reader, layer in enumerate(graph.layers):
            if producer in layer.inputs:
                wanted[True] |= masks[:, reader]
                wanted[False] |= ~masks[:, reader]
        bits = 8 * graph.bytes_of(producer)
        total_s = total_s + (~at_server & wanted[True]) * bits / costs.up_bps
        total_s = total_s + (at_server & wanted[False]) * bits / costs.down_bps
    return float(total_s.min())


def plain_shortest(graph: LayerGraph, costs: Costs, available: BoolArray) -> float:
    """Fig. 5's graph, boundary by boundary: the data is at the client, or at the server."""
    client_s, server_s = costs.client_s.tolist(), costs.server_s.tolist()
    at_client, at_server = 0.0, float("inf")
    for b, bits in enumerate((8 * graph.live_bytes).tolist()):
        if b > 0:
            at_client += client_s[b - 1]
            at_server += server_s[b - 1] if available[b - 1] else float("inf")
        at_client, at_server = (
            min(at_client, at_server + bits / costs.down_bps),
            min(at_server, at_client + bits / costs.up_bps),
        )
    return at_client


def plain_upload_order(graph: LayerGraph, costs: Costs, on_server: BoolArray) -> list[list[int]]:
    """Section III.C word by word: try every run, send the best, start over."""
    carried_by = carriers(graph, on_server)
    left = {i for i in range(len(graph)) if on_server[i]}
    order = []
    while left:
        sent = {i for i in range(len(graph)) if on_server[i]} - left
        before = plain_shortest(graph, costs, np.array([i in sent for i in range(len(graph))]))
        found = []
        for first in sorted(left):
            for last in range(first, len(graph)):
                if last not in left:
                    break
                run = list(range(first, last + 1))
                # What travels together is not torn apart at either end
                if any(b in left and carried_by[a] == carried_by[b] for a, b in _ends(run)):
                    continue
                mask = np.array([i in sent or i in run for i in range(len(graph))])
                saved = before - plain_shortest(graph, costs, mask)
                size = sum(graph.layers[i].weight_bytes for i in run)
                if saved > nothing_saved_s(costs):
                    found.append((saved / size if size else float("inf"), run))
        if not found:
            break
        top = max(efficiency for efficiency, _ in found)
        run = next(r for e, r in found if e >= top * (1 - EQUAL_EFFICIENCY))
        order.append(run)
        left -= set(run)
    for i in sorted(left):
        if order and i - 1 in left:
            order[-1].append(i)
        else:
            order.append([i])
    return order


def _ends(run: list[int]) -> list[tuple[int, int]]:
    """The first and the last layer of a run, each with its neighbour outside."""
    return [(run[0], run[0] - 1), (run[-1], run[-1] + 1)]
