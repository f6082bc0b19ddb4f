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
import numpy.typing as npt

from testbed.dnn.graph import INPUT, LayerGraph, stretches
from testbed.dnn.partitioning.partition import Segment

_NONE = -1  # no segment


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
    producers, consumers = graph.edges
    # Segments at the server by layer; the last entry is at the client: `INPUT`, and the answer
    runs_in = np.full(len(graph) + 1, _NONE)
    for number, segment in enumerate(segments):
        if segment.on_server:
            runs_in[segment.first : segment.last + 1] = number
    reads_in = runs_in[consumers]
    there = reads_in != _NONE
    first = np.full(len(graph) + 1, len(segments))  # that read a producer's tensor
    last = np.full(len(graph) + 1, _NONE)
    np.minimum.at(first, producers[there], reads_in[there])
    np.maximum.at(last, producers[there], reads_in[there])
    from_client = (runs_in == _NONE) & (last != _NONE)
    to_client = np.zeros(len(graph) + 1, dtype=bool)
    to_client[producers[~there]] = True
    since = np.where(from_client, first, runs_in)
    held = last > since
    return tuple(
        Crossing(
            segment,
            sent=_producers(from_client & (first == number)),
            returned=_producers(to_client & (runs_in == number)),
            kept=_producers(held & (since <= number) & (number < last)),
        )
        for number, segment in enumerate(segments)
    )


def _producers(mask: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the producers that a mask, (n + 1,), is true for, ascending; the last is `INPUT`."""
    layers = tuple(np.flatnonzero(mask[:-1]).tolist())
    return (INPUT, *layers) if mask[-1] else layers


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
