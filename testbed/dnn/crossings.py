"""Which tensors cross between client and server at each segment of a plan, each of them once.

The cost model of `partition` sends a tensor that the other side needs once. So the server keeps,
from one segment of a query to the next, what a later one of its segments reads, and gives back with
a segment what the client needs of it at any time. A tensor is named by its producer: the layer's
index, or `INPUT`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import numpy as np

from testbed.dnn.graph import INPUT, LayerGraph, stretches
from testbed.dnn.partition import Segment


class Crossing(msgspec.Struct, frozen=True):
    """A segment, and what it moves; at the client nothing crosses. Producers ascend."""

    segment: Segment
    sent: tuple[int, ...]  # up, before the segment: what it reads and the server does not have
    returned: tuple[int, ...]  # down, after it: those of its outputs that the client needs
    kept: tuple[int, ...]  # what the server holds after it, for later segments


def crossings(graph: LayerGraph, segments: Sequence[Segment]) -> tuple[Crossing, ...]:
    """Return what crosses at each segment of a plan, in the order of execution.

    Over all segments these are the tensors that `partition.latency` counts, each once a direction.
    """
    visit = {  # layer -> the number of its segment, at the server only
        layer: number
        for number, segment in enumerate(segments)
        if segment.on_server
        for layer in range(segment.first, segment.last + 1)
    }
    read: dict[int, list[int]] = {}  # producer -> segments at the server that read it, ascending
    returned = set()
    for producer, consumer in sorted(zip(*(ends.tolist() for ends in graph.edges), strict=True)):
        if consumer in visit:
            read.setdefault(producer, []).append(visit[consumer])
        elif producer in visit:
            returned.add(producer)
    found = []
    for number, segment in enumerate(segments):
        sent = (p for p, visits in read.items() if p not in visit and visits[0] == number)
        back = (p for p in returned if visit[p] == number)
        kept = (p for p, visits in read.items() if visit.get(p, visits[0]) <= number < visits[-1])
        found.append(Crossing(segment, *(tuple(sorted(each)) for each in (sent, back, kept))))
    return tuple(found)


def local_rest(graph: LayerGraph, held: Collection[int]) -> tuple[Segment, ...]:
    """Return what the client executes to end a query by itself with the tensors that it holds."""
    needed = np.zeros(len(graph), dtype=bool)
    ahead = list(graph.outputs)
    while ahead:
        producer = ahead.pop()
        if producer != INPUT and producer not in held and not needed[producer]:
            needed[producer] = True
            ahead += graph.layers[producer].inputs
    return tuple(Segment(False, first, last) for first, last in stretches(needed))
