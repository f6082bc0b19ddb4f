"""Frames on the wire: what is understood, and what is refused before memory is taken for it."""

from __future__ import annotations

import contextlib
import math
import random
import tracemalloc

import msgspec
import pytest

from testbed import protocol
from testbed.dnn.graph import Layer, LayerGraph, TensorSpec
from testbed.errors import ProtocolError
from testbed.gpu.stats import ServerStats
from testbed.protocol import (
    MAGIC,
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    PREAMBLE,
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
    frame_head,
    parse_header,
    parse_preamble,
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

PLAN = PlanReply("ap7", (True, False), (0,), (0.001, 0.002))
STATS = ServerStats("modelled", 3, 0.25, 0.125, 500_000_000, 61.5)

MESSAGES: tuple[AnyMessage, ...] = (
    EdgeHello("ap7"),
    Register("walker", GRAPH, (LayerRef(0, "ab" * 32, 10),), (0.1, 0.2), ((-30.0, 1.0, 2.0),)),
    Registered(),
    Report(30.0, -1.5, 2.5),
    Attach("ap7", "ap8", planned=True),
    PLAN,
    Choose(5, ("ap7", "ap8")),
    Choice(5, PLAN),
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


def test_every_message_of_the_protocol_is_tried_here() -> None:
    assert {type(message) for message in MESSAGES} == set(AnyMessage.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_a_message_comes_back_as_it_was_sent(message: AnyMessage) -> None:
    head = frame_head(message, body_bytes=77)
    header_bytes, body_bytes = parse_preamble(head[: PREAMBLE.size])
    assert body_bytes == 77
    assert len(head) == PREAMBLE.size + header_bytes
    assert parse_header(head[PREAMBLE.size :]) == message


def test_a_frame_begins_as_documented() -> None:
    head = frame_head(Registered(), 258)
    assert head[:4] == b"PDN1"
    assert int.from_bytes(head[4:8], "big") == len(head) - 16
    assert int.from_bytes(head[8:16], "big") == 258


@pytest.mark.parametrize("magic", [b"PDN2", b"GET ", b"\x16\x03\x01\x02"])
def test_another_protocol_is_refused_by_its_first_bytes(magic: bytes) -> None:
    with pytest.raises(ProtocolError, match="not a frame"):
        parse_preamble(PREAMBLE.pack(magic, 1, 0))


@pytest.mark.parametrize(
    ("header_bytes", "body_bytes"),
    [(MAX_HEADER_BYTES + 1, 0), (0, MAX_BODY_BYTES + 1), (2**32 - 1, 2**64 - 1)],
)
def test_announced_lengths_beyond_their_bounds_are_refused(
    header_bytes: int, body_bytes: int
) -> None:
    with pytest.raises(ProtocolError, match="exceeds the bounds"):
        parse_preamble(PREAMBLE.pack(MAGIC, header_bytes, body_bytes))


def test_lengths_at_their_bounds_are_accepted() -> None:
    preamble = PREAMBLE.pack(MAGIC, MAX_HEADER_BYTES, MAX_BODY_BYTES)
    assert parse_preamble(preamble) == (MAX_HEADER_BYTES, MAX_BODY_BYTES)


def test_a_sender_cannot_exceed_the_bounds_either() -> None:
    with pytest.raises(ProtocolError, match="exceeds the bounds"):
        frame_head(Registered(), MAX_BODY_BYTES + 1)
    with pytest.raises(ProtocolError, match="exceeds the bounds"):
        frame_head(EdgeHello("x" * MAX_HEADER_BYTES))


def encoded(value: object) -> bytes:
    return msgspec.msgpack.encode(value)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        encoded(None),
        encoded([1, 2]),
        encoded("stored"),
        encoded({}),
        encoded({"type": "unheard_of"}),
        encoded({"type": 5}),
        encoded({"digest": "ab"}),
        encoded({"type": "stored"}),
        encoded({"type": "stored", "digest": 5}),
        encoded({"type": "report", "time_s": "soon", "x_m": 0.0, "y_m": 0.0}),
        encoded({"type": "wanted", "client": "a", "layers": [{"layer": 1}]}),
        encoded({"type": "wanted", "client": "a", "layers": 3}),
        encoded({"type": "choose", "number": 1, "access_points": "ap7"}),
        encoded({"type": "choice", "number": 1, "plan": {"type": "stored", "digest": "ab"}}),
        encoded({"type": "load"}),
        encoded({"type": "stored", "digest": "ab"})[:-1],
        encoded({"type": "stored", "digest": "ab"}) + b"\x00",
        b"\x82\xa4type\xaaedge_hello\xa6server\xa2\xff\xff",
        b"\x82\xa4type\xaaregistered\xa5extra" + b"\x91" * 100_000 + b"\x00",
    ],
    ids=lambda header: repr(header[:40]),
)
def test_headers_that_do_not_fit_the_schema_are_refused(header: bytes) -> None:
    with pytest.raises(ProtocolError, match="does not fit the protocol"):
        parse_header(header)


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [Layer("a", "ReLU", (0,), 0, 4)],
        [Layer("a", "ReLU", (-2,), 0, 4)],
        [Layer("a", "ReLU", (-1,), -5, 4)],
        [Layer("a", "ReLU", (-1,), 0, 4, (), (), (1,))],
    ],
    ids=["none", "reads itself", "reads nothing known", "negative weights", "weights of later"],
)
def test_an_impossible_dnn_profile_is_refused(layers: list[Layer]) -> None:
    good = msgspec.to_builtins(MESSAGES[1])
    good["graph"]["layers"] = msgspec.to_builtins(layers)
    good["graph"]["outputs"] = [max(0, len(layers) - 1)]
    with pytest.raises(ProtocolError):
        parse_header(encoded(good))


@pytest.mark.parametrize(
    "changes",
    [
        {"client_s": [0.1]},
        {"client_s": []},
        {"client_s": [0.1, 0.2, 0.3]},
        {"client_s": [0.1, math.nan]},
        {"client_s": [math.nan, 0.1]},
        {"client_s": [0.1, math.inf]},
        {"client_s": [1e308, 1e308]},
        {"client_s": [0.1, -0.1]},
        {"weights": []},
        {"weights": [LayerRef(0, "ab" * 32, 11)]},
        {"weights": [LayerRef(0, "ab" * 32, 10)] * 2},
        {"weights": [LayerRef(0, "ab" * 32, 10), LayerRef(1, "ab" * 32, 0)]},
        {"trajectory": [(0.0, 1.0, 2.0), (math.nan, 1.0, 2.0)]},
        {"trajectory": [(0.0, math.inf, 2.0)]},
    ],
    ids=str,
)
def test_a_registration_that_fits_no_model_or_no_place_is_refused(
    changes: dict[str, object],
) -> None:
    good = msgspec.to_builtins(MESSAGES[1])
    assert parse_header(encoded(good)) == MESSAGES[1]
    with pytest.raises(ProtocolError, match="does not fit the protocol"):
        parse_header(encoded(good | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_bytes": MAX_BODY_BYTES + 1},
        {"output_bytes": MAX_BODY_BYTES + 1},
        {"weight_bytes": 2**63},
        {"multiply_adds": -1},
    ],
    ids=str,
)
def test_a_registered_layer_has_a_size_that_can_be_sent(changes: dict[str, int]) -> None:
    good = msgspec.msgpack.decode(encoded(MESSAGES[1]))
    good["graph"]["layers"][0] |= changes
    size_bytes = good["graph"]["layers"][0]["weight_bytes"]
    good["weights"] = [{"layer": 0, "digest": "ab" * 32, "size_bytes": size_bytes}]
    with pytest.raises(ProtocolError, match="does not fit the protocol"):
        parse_header(encoded(good))


@pytest.mark.parametrize("field", ["time_s", "x_m", "y_m"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_report_from_nowhere_is_refused(field: str, value: float) -> None:
    good = {"type": "report", "time_s": 1.0, "x_m": 2.0, "y_m": 3.0}
    with pytest.raises(ProtocolError, match="nobody is at"):
        parse_header(encoded(good | {field: value}))


def load(**changes: object) -> bytes:
    return encoded({"type": "load", "stats": msgspec.to_builtins(STATS) | changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "rumour"},
        {"clients": -1},
        {"clients": 1.5},
        {"clients": None},
        {"kernel_utilisation": 1.001},
        {"kernel_utilisation": -0.001},
        {"memory_utilisation": float("inf")},
        {"memory_used_bytes": -1},
        {"temperature_c": float("-inf")},
        {"temperature_c": "warm"},
    ],
    ids=str,
)
def test_a_load_that_no_server_can_have_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ProtocolError, match="does not fit the protocol"):
        parse_header(load(**changes))


def test_loads_at_their_bounds_are_understood_and_some_may_be_unknown() -> None:
    for share in (0.0, 1.0):
        message = parse_header(load(clients=0, kernel_utilisation=share))
        assert isinstance(message, Load)
        assert message.stats.kernel_utilisation == share
    unknown = {"memory_utilisation": math.nan, "temperature_c": math.nan, "memory_used_bytes": 0}
    message = parse_header(load(**unknown))
    assert isinstance(message, Load)
    assert math.isnan(message.stats.temperature_c) and math.isnan(message.stats.memory_utilisation)


@pytest.mark.parametrize("start", [b"\xdd", b"\xdf", b"\xdb", b"\xc6"])
def test_a_huge_announced_length_inside_a_header_takes_no_memory(start: bytes) -> None:
    header = b"\x83\xa4type\xa6wanted\xa6client\xa1c\xa6layers" + start + b"\x7f\xff\xff\xff"
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        parse_header(header)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_random_bytes_only_ever_give_protocol_errors() -> None:
    rng = random.Random(1)
    for _ in range(3000):
        with pytest.raises(ProtocolError):
            parse_header(rng.randbytes(rng.randrange(1, 60)))
        with pytest.raises(ProtocolError):
            parse_preamble(rng.randbytes(PREAMBLE.size))


def test_damaged_messages_are_refused_or_still_messages() -> None:
    rng = random.Random(2)
    for _ in range(4000):
        header = bytearray(frame_head(rng.choice(MESSAGES))[PREAMBLE.size :])
        for _ in range(rng.randrange(1, 4)):
            header[rng.randrange(len(header))] = rng.randrange(256)
        del header[rng.randrange(len(header) // 2, len(header) + 1) :]
        with contextlib.suppress(ProtocolError):
            assert isinstance(parse_header(bytes(header)), protocol.Message)
