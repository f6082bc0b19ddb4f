"""Frames on the wire: what is understood, and what is refused before memory is taken for it."""

from __future__ import annotations

import contextlib
import random
import tracemalloc

import pytest

from testbed.errors import ProtocolError
from testbed.protocol.framing import (
    MAGIC,
    MAX_HEADER_BYTES,
    PREAMBLE,
    frame_head,
    parse_header,
    parse_preamble,
)
from testbed.protocol.messages import MAX_BODY_BYTES, AnyMessage, EdgeHello, Message, Registered
from tests.protocol.samples import MESSAGES, encoded


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
            assert isinstance(parse_header(bytes(header)), Message)
