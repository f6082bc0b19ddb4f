"""What `testbed plan` answers: where layers run, a query's latency, and the order of upload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np

from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.graph import INPUT, Layer, LayerGraph, TensorSpec
from testbed.dnn.partitioning.partition import Costs, Planner
from testbed.dnn.partitioning.partitioner import best_plan
from testbed.dnn.partitioning.upload_order import upload_order
from testbed.errors import ConfigurationError

# Sums of as many as there may be stay finite, and integers below 2**63
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e12)]
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
_MAX_LAYERS = 4_000  # for whose order of upload 0.7 GB of efficiencies are kept


class GraphLayer(msgspec.Struct, frozen=True):
    """A layer of a graph file; `inputs` name earlier layers or give indices, -1 for the query."""

    name: str
    inputs: list[int | str]
    client_s: _Seconds
    server_s: _Seconds
    weight_bytes: _Bytes
    output_bytes: _Bytes


class _Head(msgspec.Struct, frozen=True):
    layers: list[dict[str, Any]]
    input_bytes: _Bytes


def plan_from_graph_json(
    content: Any, down_bps: float, up_bps: float, planner: Planner = best_plan
) -> dict[str, Any]:
    """Return the plan for a layer graph given as parsed JSON (`testbed plan --graph`).

    `content` is {"layers": [...], "input_bytes": ..} with layers like `GraphLayer` in topological
    order; one with empty `inputs` reads the query's input. Raises ConfigurationError, naming the
    layer, if a field is missing or out of range.
    """
    try:
        head = msgspec.convert(content, _Head)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"layer graph: {error}") from error
    if not head.layers:
        raise ConfigurationError("layer graph: it has no layers")
    if len(head.layers) > _MAX_LAYERS:
        raise ConfigurationError(f"layer graph: more than {_MAX_LAYERS} layers")
    rows = [_row(index, layer) for index, layer in enumerate(head.layers)]
    graph = LayerGraph(
        model="graph",
        layers=tuple(_layers(rows)),
        inputs=(TensorSpec("input", (head.input_bytes,), "uint8"),),
        input_bytes=head.input_bytes,
        outputs=(len(rows) - 1,),
    )
    client_s = np.array([row.client_s for row in rows])
    server_s = np.array([row.server_s for row in rows])
    return plan(graph, Costs(client_s, server_s, up_bps, down_bps), planner)


def plan_for_model(
    model: str,
    client_device: str,
    server_device: str,
    *,
    down_bps: float,
    up_bps: float,
    input_shape: Sequence[int] = (1, 3, 224, 224),
    planner: Planner = best_plan,
) -> dict[str, Any]:
    """Return the plan for a model between two devices (`testbed plan --model`).

    Beside the keys of `plan`, `estimated` says how many layers' times were not measured on the
    client's and on the server's device. Raises ModelError if there is no such model, or it cannot
    be captured, and ConfigurationError if there is no such device, or a rate is not above 0.
    """
    client, server = device_profile(client_device), device_profile(server_device)
    from testbed.dnn.graph_capture import capture  # PyTorch is loaded only for a model
    from testbed.dnn.models.factory import NETWORKS, build_model

    seed = None if model in NETWORKS else 0  # with weights, a user's model is verified
    module, examples = build_model(model, seed, input_shape)
    graph = capture(module, examples, model).graph
    costs = Costs(client.layer_times(graph), server.layer_times(graph), up_bps, down_bps)
    sides = {"client": client, "server": server}
    estimated = {side: len(device.estimated(graph)) for side, device in sides.items()}
    return plan(graph, costs, planner) | {"estimated": estimated}


def plan(graph: LayerGraph, costs: Costs, planner: Planner = best_plan) -> dict[str, Any]:
    """Return a planner's plan and its upload order by layer name, ready for JSON.

    Keys: `location` (layer -> "client" or "server"), `latency_s`, `local_latency_s`, `upload` (runs
    of layers in order of sending) and `upload_bytes`.
    """
    best = planner(graph, costs, None)
    names = [layer.name for layer in graph.layers]
    sides = ("server" if remote else "client" for remote in best.on_server)
    return {
        "location": dict(zip(names, sides, strict=True)),
        "latency_s": best.latency_s,
        "local_latency_s": best.local_latency_s,
        "upload": [[names[i] for i in run] for run in upload_order(graph, costs, best.mask)],
        "upload_bytes": best.upload_bytes,
    }


def _row(index: int, content: dict[str, Any]) -> GraphLayer:
    name = content.get("name", f"number {index}")
    try:
        return msgspec.convert(content, GraphLayer)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"layer graph: layer {name!r}: {error}") from error


def _layers(rows: Sequence[GraphLayer]) -> list[Layer]:
    index_of: dict[int | str, int] = {INPUT: INPUT}
    layers = []
    for index, row in enumerate(rows):
        if row.name in index_of:
            raise ConfigurationError(f"layer graph: two layers are called {row.name!r}")
        unknown = [name for name in row.inputs if name not in index_of]
        if unknown:
            raise ConfigurationError(
                f"layer graph: layer {row.name!r} reads {unknown[0]!r}, which is no earlier layer"
            )
        inputs = tuple(sorted({index_of[name] for name in row.inputs})) or (INPUT,)
        layers.append(Layer(row.name, "layer", inputs, row.weight_bytes, row.output_bytes))
        index_of[row.name] = index_of[index] = index
    return layers
