"""From any `nn.Module` to its layer graph: one recorded run, kept as a `torch.fx` graph.

Calls of PyTorch's own modules and of the Caffe layers are layers named after the module; every
other operation on tensors is a layer named after its function. Whatever is no tensor (sizes,
Python numbers) is fixed to its value for the example's shapes. `torch.fx`'s own tracer passes
symbols through the model, which fails wherever a size decides something; this run has real tensors.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from testbed.dnn.captured_model import CapturedModel, copy_with, prepared
from testbed.dnn.executor import Executor
from testbed.dnn.graph import INPUT, Layer, LayerGraph
from testbed.dnn.recorder import RecordedStep, Recorder
from testbed.dnn.tensors import Values, spec_of
from testbed.errors import ModelError


def capture(module: nn.Module, example_inputs: Sequence[Tensor], name: str) -> CapturedModel:
    """Return the layer graph of `module`, called `name`, for inputs shaped like the examples.

    A module on the "meta" device (a structure without weights) is captured as well. The module is
    put into evaluation mode, and its modules are kept from changing their inputs in place. Raises
    ModelError if it fails on the examples, or its answer depends on operations that cannot be
    recorded; the message names the operation.
    """
    prepared(module)
    has_weights = not any(t.is_meta for t in (*module.parameters(), *module.buffers()))
    recorder = Recorder(
        module if has_weights else copy_with(module, _zeros_without_memory), example_inputs, name
    )
    results, structure = tree_flatten(recorder.run())
    if not results or not all(isinstance(result, Tensor) for result in results):
        raise ModelError(f"model {name!r} must return tensors, not {results!r}")
    answer_nodes = tuple(recorder.node_of(result) for result in results)
    steps, producers = _needed_steps(recorder, answer_nodes)
    if not steps:
        raise ModelError(f"model {name!r} returns its input: it has no layers")
    layers = _layers(recorder, steps, producers)
    inputs = tuple(spec_of("input", example) for example in example_inputs)
    outputs = {producers[node.args[0]] for node in answer_nodes} - {INPUT}  # type: ignore[index]
    captured = CapturedModel(
        graph=LayerGraph(
            name, layers, inputs, sum(spec.nbytes for spec in inputs), tuple(sorted(outputs))
        ),
        module=module,
        steps=tuple(step.node for step in steps),
        producers=producers,
        constants=recorder.constants,
        weight_paths=tuple(
            tuple(recorder.weight_paths[spec.name] for spec in layer.weights) for layer in layers
        ),
        answer_nodes=answer_nodes,
        build_answer=lambda tensors: tree_unflatten(list(tensors), structure),
    )
    if has_weights:
        _check_other_query(captured, example_inputs)
    return captured


def _needed_steps(
    recorder: Recorder, answer: Sequence[fx.Node]
) -> tuple[list[RecordedStep], dict[fx.Node, int]]:
    """Return the steps that the answer needs, and the layer index of each step's node."""
    needed = {node.args[0] for node in answer}
    for step in reversed(recorder.steps):
        if step.node in needed:
            needed.update(_sources(step.node))
    steps = [step for step in recorder.steps if step.node in needed]
    return steps, {recorder.query: INPUT} | {step.node: i for i, step in enumerate(steps)}


def _layers(
    recorder: Recorder, steps: Sequence[RecordedStep], producers: dict[fx.Node, int]
) -> tuple[Layer, ...]:
    """Fill in what each layer reads; a weight belongs to the first layer that reads it."""
    owner: dict[str, int] = {}
    layers = []
    for index, step in enumerate(steps):
        own = [name for name in step.weights if owner.setdefault(name, index) == index]
        weights = tuple(spec_of(name, recorder.weight(name)) for name in own)
        layers.append(
            msgspec.structs.replace(
                step.layer,
                inputs=tuple(sorted({producers[source] for source in _sources(step.node)})),
                weights=weights,
                weight_bytes=sum(spec.nbytes for spec in weights),
                weights_of=tuple(sorted({owner[name] for name in step.weights} - {index})),
            )
        )
    return tuple(layers)


def _sources(node: fx.Node) -> list[fx.Node]:
    """The steps (or the query) whose tensors a step reads."""
    tensors = [read for read in node.all_input_nodes if read.op == "call_function"]
    return [read.args[0] for read in tensors if isinstance(read.args[0], fx.Node)]


def _check_other_query(captured: CapturedModel, example_inputs: Sequence[Tensor]) -> None:
    """Compare with the module on a query that was not recorded: nothing may have been frozen."""
    model, layers = captured.graph.model, captured.graph.layers
    flipped = tuple(example.flip(tuple(range(example.dim()))) for example in example_inputs)
    executor = Executor(captured)
    try:
        with torch.inference_mode():
            expected = captured.module(*(query.clone() for query in flipped))
        values: Values = {INPUT: flipped}
        for index, layer in enumerate(layers):
            values = executor.run(index, index, values)
            if tuple(spec_of("output", tensor) for tensor in values[index]) != layer.outputs:
                raise ModelError(
                    f"model {model!r} cannot be captured: the shape or element type of what layer "
                    f"{layer.name!r} returns depends on the query"
                )
        found = executor.answer({INPUT: flipped, **values})
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"model {model!r} cannot be captured: it fails on a second query: {error}"
        ) from error
    pairs = itertools.zip_longest(tree_leaves(found), tree_leaves(expected))
    if not all(_agree(*pair) for pair in pairs):
        raise ModelError(
            f"model {model!r} cannot be captured: its recorded layers give another "
            f"answer than the module; it computes outside of PyTorch's functions or at random"
        )


def _agree(found: Any, expected: Any) -> bool:
    if not (isinstance(found, Tensor) and isinstance(expected, Tensor)):
        return False
    return spec_of("", found) == spec_of("", expected) and torch.allclose(
        found, expected, rtol=1e-4, atol=1e-6, equal_nan=True
    )


def _zeros_without_memory(like: Tensor) -> Tensor:
    """One zero in memory, repeated by strides of 0."""
    return torch.zeros((), dtype=like.dtype).expand(like.shape)
