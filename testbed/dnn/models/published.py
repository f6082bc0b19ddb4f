"""The networks that the paper's first author published (profiles/SOURCE.txt)."""

from __future__ import annotations

import csv
from collections import Counter
from functools import cache
from math import prod
from pathlib import Path

from testbed.dnn.graph import INPUT, Layer, LayerGraph, TensorSpec

MODELS = ("inception", "mobilenet", "resnet")

_INPUT_SHAPE = (3, 224, 224)  # of all three

_FOLDER = Path(__file__).parents[1] / "profiles" / "networks"
_INTEGERS = ("num_output", "kernel", "stride", "pad", "group")


@cache
def published_graph(model: str) -> LayerGraph:
    """Return the layer graph of one of `MODELS`; what they call "data" is the query's input."""
    rows = _rows(model)
    index_of = {"data": INPUT} | {row["layer"]: i for i, row in enumerate(rows)}
    channels = {"data": _INPUT_SHAPE[0]} | {row["layer"]: _shape(row)[0] for row in rows}
    layers = tuple(
        Layer(
            name=row["layer"],
            kind=row["type"],
            inputs=tuple(index_of[name] for name in row["inputs"].split()),
            weight_bytes=int(row["weight_bytes"]),
            output_bytes=int(row["output_bytes"]),
            outputs=(TensorSpec("output", (1, *_shape(row)), "float32"),),
            multiply_adds=_multiply_adds(row, channels),
            hyperparameters={name: int(row[name]) for name in _INTEGERS if row[name]},
        )
        for row in rows
    )
    query = TensorSpec("input", (1, *_INPUT_SHAPE), "float32")
    return LayerGraph(model, layers, (query,), query.nbytes, (len(layers) - 1,))


def caffe_copies(graph: LayerGraph) -> int:
    """Return how many layers Caffe inserts: one copies each tensor that several layers read."""
    readers = Counter(producer for layer in graph.layers for producer in layer.inputs)
    return sum(count > 1 for count in readers.values())


def caffe_layer_count(graph: LayerGraph) -> int:
    """Return the number of layers of the network in Caffe: with its copies and an input layer.

    These are the lines of the published profiles: 312 for Inception, 245 for ResNet-50, as in Table
    I, and 112 for MobileNet, where that says 110. MobileNet's definition (shicai/MobileNet-Caffe)
    has had 111 layers since 5 February 2018 (commit 728e690), when `prob` was added, and 110 until
    then. It declares its input in a field, of which Caffe makes a layer of its own.
    """
    return len(graph) + caffe_copies(graph) + 1


@cache
def _rows(model: str) -> list[dict[str, str]]:
    """The executed layers of a model's file."""
    with (_FOLDER / f"{model}.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["type"] != "Input"]


def _shape(row: dict[str, str]) -> tuple[int, ...]:
    return tuple(int(length) for length in row["output_shape"].split("x"))


def _multiply_adds(row: dict[str, str], channels: dict[str, int]) -> int:
    """Count as `operations.multiply_adds` does for captured layers."""
    outputs = prod(_shape(row))
    match row["type"]:
        case "Convolution":
            per_group = channels[row["inputs"]] // int(row["group"])
            return outputs * per_group * int(row["kernel"]) ** 2
        case "InnerProduct":
            return outputs * channels[row["inputs"]]
        case "Pooling":
            return outputs * int(row["kernel"]) ** 2
        case _:
            return outputs
