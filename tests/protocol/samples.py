"""One of each message, and what is no message."""

from __future__ import annotations

import msgspec

from testbed.dnn.graph import Layer, LayerGraph, TensorSpec
from testbed.gpu.stats import ServerStats
from testbed.protocol.messages import (
    Answer,
    AnyMessage,
    Attach,
    Choice,
    Choose,
    EdgeHello,
    Holding,
    LayerPiece,
    LayerRef,
    Load,
    LoadRequest,
    Migrate,
    MigrationOffer,
    PlanReply,
    Query,
    Refused,
    Register,
    Registered,
    Report,
    Stored,
    Wanted,
)

REF = LayerRef(3, "ab" * 32, 1_000)
GRAPH = LayerGraph(
    "tiny",
    (
        Layer("a", "Convolution", (-1,), 10, 20, (TensorSpec("w", (5,), "float16"),)),
        Layer("b", "ReLU", (0,), 0, 20, hyperparameters={"slope": 0.5, "size": (1, 2), "in": True}),
    ),
    (TensorSpec("x", (1, 5), "float32"),),
    20,
    (1,),
)

PLAN = PlanReply(3, "ap7", (True, False), (0,), (0.001, 0.002))
STATS = ServerStats("modelled", 3, 0.25, 0.125, 500_000_000, 61.5)

MESSAGES: tuple[AnyMessage, ...] = (
    EdgeHello("ap7"),
    Register("walker", GRAPH, (LayerRef(0, "ab" * 32, 10),), (0.1, 0.2), ((-30.0, 1.0, 2.0),)),
    Registered(),
    Report(30.0, -1.5, 2.5),
    Attach(3, "ap7"),
    PLAN,
    Choose(5, ("ap7", "ap8")),
    Choice(5, "ap7"),
    LoadRequest(),
    Load(STATS),
    Migrate("walker", "ap8", "10.0.0.8", (REF,), 60.0, 180.0),
    Wanted("walker", (REF, REF)),
    MigrationOffer("walker", "ap7", (REF,), float("inf")),
    Holding((0, 500)),
    LayerPiece("ab" * 32, 500),
    Stored("ab" * 32),
    Query("walker", 4, 0, 1, (-1,), (1,), (0,), 0, True),
    Answer(4, 0.003),
    Refused(4, "layer 0 is not here"),
)


def encoded(value: object) -> bytes:
    return msgspec.msgpack.encode(value)
