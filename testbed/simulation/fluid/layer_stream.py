"""A plan's layers in the order of upload as one stream of bytes.

Uploads and migrations both send the most efficient layers first (section III.C.2), so what a server
has of a client's model is a prefix of this stream, and its length says everything.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from testbed.simulation.offloading import Offloading, TimedSegment


class Execution(NamedTuple):
    """How a query executes."""

    steps: tuple[TimedSegment, ...]  # that it takes
    up_bytes: int  # what it sends to the server
    latency_s: float  # how long it takes if nothing else uses the link
    until_bytes: int  # how much of the stream the server has when it may change, or all of it


class LayerStream:
    """How queries execute by how much of a model a server has.

    There is one level before the first group of layers and one after each; within a level all
    queries execute in the same way, since the layers of a group are of use once all are there.
    `groups` are the server's layers with weights in the order of upload, `goodput` the share of the
    links' rates that layers and tensors get; headers take the rest.
    """

    def __init__(
        self, offloading: Offloading, groups: Sequence[Sequence[int]], goodput: float = 1.0
    ) -> None:
        weight_bytes = offloading.graph.weight_bytes
        self.offloading = offloading
        self.layers = tuple(layer for group in groups for layer in group)  # in the order of upload
        # Where each of them ends in the stream
        self.layer_ends_bytes = list(accumulate(int(weight_bytes[each]) for each in self.layers))
        self.size_bytes = self.layer_ends_bytes[-1] if self.layers else 0
        self._counts = list(accumulate(map(len, groups), initial=0))
        # Where each level begins
        self.starts_bytes = [self.layer_ends_bytes[n - 1] if n else 0 for n in self._counts]
        self._executions: list[Execution | None] = [None] * len(self._counts)
        # What the link carries of layers and tensors in a second
        self.up_bytes_s = offloading.costs.up_bps * goodput / 8
        self.down_bytes_s = offloading.costs.down_bps * goodput / 8

    def execution(self, present_bytes: float) -> Execution:
        """Return how queries execute with so much of the stream at the server."""
        level = bisect_right(self.starts_bytes, present_bytes) - 1
        found = self._executions[level]
        if found is None:
            steps = self.offloading.steps(self.layers[: self._counts[level]])
            up_bytes = sum(step.up_bytes for step in steps)
            until_bytes = self.starts_bytes[min(level + 1, len(self._counts) - 1)]
            found = Execution(steps, up_bytes, self._latency_s(steps), until_bytes)
            self._executions[level] = found
        return found

    def whole_layers(self, present_bytes: float) -> int:
        """Return how many layers lie whole in so much of the stream."""
        return bisect_right(self.layer_ends_bytes, present_bytes)

    def whole_bytes(self, present_bytes: float) -> int:
        """Return the length of the layers that lie whole in so much of the stream."""
        count = self.whole_layers(present_bytes)
        return self.layer_ends_bytes[count - 1] if count else 0

    def end_of_layer(self, count: float) -> int:
        """Return where the layer ends in which so much of the stream ends."""
        return self.layer_ends_bytes[bisect_left(self.layer_ends_bytes, count)]

    def bytes_of(self, layers: Sequence[int]) -> int:
        """Return the length of the prefix that these layers are.

        Raises ValueError if they are not the first ones in the order of upload.
        """
        if tuple(layers) != self.layers[: len(layers)]:
            raise ValueError("the layers are no prefix of the order of upload")
        return self.layer_ends_bytes[len(layers) - 1] if layers else 0

    def _latency_s(self, steps: Sequence[TimedSegment]) -> float:
        return sum(
            step.up_bytes / self.up_bytes_s + step.execution_s + step.down_bytes / self.down_bytes_s
            for step in steps
        )
