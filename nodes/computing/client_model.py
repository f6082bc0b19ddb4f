"""A client's own model: its layers' weights, its inputs, and what it costs to execute here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from nodes.computing.compute import Computer
from nodes.computing.memo import Memo
from nodes.setup import NodeSetup
from testbed.dnn.camera import Camera, photographs, takes_frames
from testbed.dnn.captured_model import CapturedModel
from testbed.dnn.devices.device_profile import device_profile
from testbed.dnn.fused_executor import FusedExecutor
from testbed.dnn.graph import INPUT, LayerGraph
from testbed.dnn.graph_capture import capture
from testbed.dnn.models.factory import NETWORKS, build_model
from testbed.dnn.partitioning.crossings import Crossing
from testbed.dnn.partitioning.partition import Costs, Segment
from testbed.dnn.tensors import joined_bytes
from testbed.layerstore import LayerStore
from testbed.protocol.messages import LayerRef


@dataclass(frozen=True)
class ClientModel:
    """A client's personal model: weights and inputs seeded by client (section IV.B.1).

    `weights` names the layers that have any; `inputs` are the raw bytes of the distinct inputs.
    """

    graph: LayerGraph
    weights: tuple[LayerRef, ...]
    inputs: tuple[memoryview, ...]
    layer_s: npt.NDArray[np.float64]
    store: LayerStore

    def refs(self, layers: Sequence[int]) -> tuple[LayerRef, ...]:
        """Return the content of these layers, in their order."""
        by_layer = {ref.layer: ref for ref in self.weights}
        return tuple(by_layer[layer] for layer in layers)

    def costs(self, server_s: Sequence[float], up_bps: float, down_bps: float) -> Costs:
        """Return the cost model of this client with a server of these times."""
        return Costs(self.layer_s, np.array(server_s), up_bps, down_bps)

    def local(self) -> tuple[Crossing, ...]:
        """Return the plan that executes everything at the client."""
        return (Crossing(Segment(False, 0, len(self.graph) - 1), (), (), ()),)


def structure(setup: NodeSetup) -> CapturedModel:
    """Return the run's model without weights, which all nodes build alike."""
    settings = setup.experiment.model
    module, examples = build_model(settings.name, None, settings.input_shape)
    return capture(module, examples, settings.name)


def with_own_weights(
    setup: NodeSetup, captured: CapturedModel, seed: int
) -> tuple[CapturedModel, Sequence[torch.Tensor]]:
    """Return the run's model with the weights that a seed gives, and its example inputs."""
    settings = setup.experiment.model
    module, examples = build_model(settings.name, seed, settings.input_shape)
    known = settings.name in NETWORKS  # a user's factory may build something else for each seed
    own = captured.with_weights_of(module) if known else capture(module, examples, settings.name)
    return own, examples


def build_client_model(
    setup: NodeSetup, client: str, captured: CapturedModel, memo: Memo | None = None
) -> None:
    """Write a client's layers and inputs where it finds them; its true outputs into a memo.

    `captured` is the model's structure. Whatever needs the whole model in memory happens here, in a
    process that ends.
    """
    seed = setup.client_seed(client)
    own, examples = with_own_weights(setup, captured, seed)
    executor, store, weights = FusedExecutor(own), setup.layer_store(client, client), []
    for index, size in enumerate(own.graph.weight_bytes.tolist()):
        if size:
            weights.append(LayerRef(index, store.put(executor.layer_weights(index)), size))
    last = len(own.graph) - 1
    for key, tensors in enumerate(_inputs(setup, own.graph, examples, seed)):
        setup.input_file(client, key).write_bytes(joined_bytes(tensors))
        if memo is not None:
            memo.write(client, key, executor.run(0, last, {INPUT: tensors}, memo.kept))
    setup.weights_file(client).write_bytes(msgspec.json.encode(tuple(weights)))


def load_client_model(setup: NodeSetup, client: str, computer: Computer) -> ClientModel:
    """Return a client's model, whose layers and inputs are mapped from their files."""
    settings = setup.experiment.model
    store = setup.layer_store(client, client)
    weights = setup.weights(client)
    for ref in weights:
        computer.load(client, ref.layer, ref.digest, store.read(ref.digest))
    inputs = (setup.input_file(client, key) for key in range(settings.distinct_inputs))
    return ClientModel(
        graph=computer.graph,
        weights=weights,
        inputs=tuple(memoryview(file.read_bytes()) for file in inputs),
        layer_s=device_profile(settings.client_device).layer_times(computer.graph),
        store=store,
    )


def _inputs(
    setup: NodeSetup, graph: LayerGraph, examples: Sequence[torch.Tensor], seed: int
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield a client's distinct inputs: what its camera sees, or random numbers."""
    settings = setup.experiment.model
    if takes_frames(graph.inputs):
        camera = Camera(photographs(settings.frames), graph.inputs[0].shape, seed)
        yield from ((camera.frame(number),) for number in range(settings.distinct_inputs))
        return
    generator = torch.Generator().manual_seed(seed)
    for _ in range(settings.distinct_inputs):
        yield tuple(_like(example, generator) for example in examples)


def _like(example: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return a random input of an example's shape; one of whole numbers stays as it is."""
    if not example.is_floating_point():
        return example
    return torch.rand(example.shape, generator=generator, dtype=example.dtype)
