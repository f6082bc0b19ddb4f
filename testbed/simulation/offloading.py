"""How a client's queries execute with the layers that a server has, and what each step costs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.graph import LayerGraph
from testbed.dnn.models.published import MODELS, published_graph
from testbed.dnn.partitioning.crossings import Crossing, crossings
from testbed.dnn.partitioning.partition import Costs, Planner, Segment
from testbed.dnn.partitioning.partitioner import best_plan
from testbed.dnn.partitioning.planners import planner_of
from testbed.dnn.partitioning.upload_order import available_layers, weighted_runs
from testbed.settings.experiment import Experiment, Model


class TimedSegment(NamedTuple):
    """A segment of a query: tensors go up, it executes, and the outputs `returned` come down.

    `execution_s` has the way to a distant server in it. At the client nothing crosses.
    """

    segment: Segment
    up_bytes: int
    execution_s: float
    down_bytes: int
    returned: tuple[int, ...]

    @property
    def on_server(self) -> bool:
        """Whether it executes at the server."""
        return self.segment.on_server

    @property
    def layers(self) -> range:
        """The layers that it executes."""
        return range(self.segment.first, self.segment.last + 1)


class Offloading:
    """A model between one client and servers of one kind: plan, order of upload, queries.

    It remembers every set of layers that it has planned for: keep one for many attachments. The
    link has the rates of `costs` when nothing else uses it; `round_trip_s` is to the server and
    back, beyond the link, each time it executes something. Queries have `beside_upload` of the
    uplink while layers of the plan are missing, which is what a client measures then.
    """

    def __init__(
        self,
        graph: LayerGraph,
        costs: Costs,
        round_trip_s: float = 0.0,
        planner: Planner = best_plan,
        beside_upload: float = 1.0,
    ) -> None:
        self.graph = graph
        self.costs = costs
        self.round_trip_s = round_trip_s
        self.planner = planner
        self.beside_upload = beside_upload
        self._uploading = replace(costs, up_bps=costs.up_bps * beside_upload)
        self.plan = planner(graph, costs, None)
        self._on_server = self.plan.mask
        self._known: dict[frozenset[int], tuple[TimedSegment, ...]] = {}
        self._steps: dict[bytes, tuple[TimedSegment, ...]] = {}  # by what executes at the server

    def at_distance(self, round_trip_s: float) -> Offloading:
        """Return the same with a server so far away; the plan does not consider that."""
        return Offloading(self.graph, self.costs, round_trip_s, self.planner, self.beside_upload)

    @cached_property
    def _weighted(self) -> frozenset[int]:
        """The plan's layers with weights."""
        weighted = self.graph.weight_bytes.astype(bool)
        return frozenset(np.flatnonzero(self._on_server & weighted).tolist())

    @cached_property
    def _runs(self) -> list[tuple[int, ...]]:
        return weighted_runs(self.graph, self.costs, self._on_server)

    def runs(self) -> list[tuple[int, ...]]:
        """Return the plan's layers with weights in the order of upload, run by run."""
        return self._runs

    def steps(self, present: Collection[int]) -> tuple[TimedSegment, ...]:
        """Return how the planner executes a query where the server has these layers' weights."""
        key = frozenset(present)
        if key not in self._known:
            available = available_layers(self.graph, key, self._on_server)
            costs = self.costs if key.issuperset(self._weighted) else self._uploading
            plan = self.planner(self.graph, costs, available)
            cut = plan.mask.tobytes()
            if cut not in self._steps:
                self._steps[cut] = self.steps_of(plan.segments())
            self._known[key] = self._steps[cut]
        return self._known[key]

    def steps_of(self, segments: Sequence[Segment]) -> tuple[TimedSegment, ...]:
        """Return what these segments cost, each tensor crossing once a direction."""
        return tuple(self._step(crossing) for crossing in crossings(self.graph, segments))

    def latency_s(self, steps: Collection[TimedSegment]) -> float:
        """Return the seconds of a query when nothing else uses the link."""
        up_bytes = sum(step.up_bytes for step in steps)
        down_bytes = sum(step.down_bytes for step in steps)
        crossing_s = 8 * (up_bytes / self.costs.up_bps + down_bytes / self.costs.down_bps)
        return sum(step.execution_s for step in steps) + crossing_s

    def _step(self, crossing: Crossing) -> TimedSegment:
        segment = crossing.segment
        layer_s = self.costs.server_s if segment.on_server else self.costs.client_s
        way_s = self.round_trip_s if segment.on_server else 0.0
        return TimedSegment(
            segment=segment,
            up_bytes=sum(map(self.graph.bytes_of, crossing.sent)),
            execution_s=float(layer_s[segment.first : segment.last + 1].sum()) + way_s,
            down_bytes=sum(map(self.graph.bytes_of, crossing.returned)),
            returned=crossing.returned,
        )


def offloading_of(settings: Experiment, rate: float = 1.0) -> Offloading:
    """Return the settings' model between client and edge server, at `rate` times their rates."""
    graph, wireless = layer_graph(settings.model), settings.wireless
    costs = Costs(
        client_s=device_profile(settings.model.client_device).layer_times(graph),
        server_s=device_profile(settings.model.server_device).layer_times(graph),
        up_bps=wireless.up_bps * rate,
        down_bps=wireless.down_bps * rate,
    )
    half = 0.5 if settings.simulation.sharing == "shared" else 1.0
    return Offloading(graph, costs, planner=planner_of(settings.model), beside_upload=half)


def layer_graph(model: Model) -> LayerGraph:
    """Return the layers of a published model, or of any other once it is captured."""
    if model.name in MODELS and model.input_shape == Model().input_shape:
        return published_graph(model.name)
    from testbed.dnn.graph_capture import capture
    from testbed.dnn.models.factory import build_model

    return capture(*build_model(model.name, None, model.input_shape), model.name).graph
