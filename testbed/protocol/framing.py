"""Frames on the wire: how the messages of `testbed.protocol.messages` travel.

A frame is a 16-byte preamble, a MessagePack header and raw bytes (tensors or a piece of a layer):

    offset  size  field
    0       4     magic "PDN1"
    4       4     header length, unsigned big-endian, at most MAX_HEADER_BYTES
    8       8     body length, unsigned big-endian, at most MAX_BODY_BYTES
    16      ..    header: a message, MessagePack
    ..      ..    body: raw bytes, little-endian float32 unless the header says otherwise

Lengths are checked before memory is taken, headers are decoded into the messages' schema, and
nothing is ever unpickled or evaluated.
"""

from __future__ import annotations

import struct

import msgspec

from testbed.errors import ProtocolError
from testbed.protocol.messages import MAX_BODY_BYTES, AnyMessage

MAGIC = b"PDN1"
PREAMBLE = struct.Struct(">4sIQ")
MAX_HEADER_BYTES = 4 << 20  # a DNN profile of 312 layers takes about 0.1 MB

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[AnyMessage] = msgspec.msgpack.Decoder(AnyMessage)


def frame_head(message: AnyMessage, body_bytes: int = 0) -> bytes:
    """Return preamble and header of a frame; ProtocolError if header or body are too long."""
    header = _encoder.encode(message)
    _check_lengths(len(header), body_bytes)
    return PREAMBLE.pack(MAGIC, len(header), body_bytes) + header


def parse_preamble(preamble: bytes) -> tuple[int, int]:
    """Return header and body length; ProtocolError if the magic is wrong or a length too large."""
    magic, header_bytes, body_bytes = PREAMBLE.unpack(preamble)
    if magic != MAGIC:
        raise ProtocolError(f"not a frame of this protocol: starts with {magic!r}")
    _check_lengths(header_bytes, body_bytes)
    return header_bytes, body_bytes


def parse_header(header: bytes) -> AnyMessage:
    """Return the message in a header; ProtocolError if it does not fit the messages' schema."""
    try:
        return _decoder.decode(header)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"header does not fit the protocol: {error}") from error


def _check_lengths(header_bytes: int, body_bytes: int) -> None:
    if header_bytes > MAX_HEADER_BYTES or body_bytes > MAX_BODY_BYTES:
        raise ProtocolError(
            f"frame of {header_bytes} header and {body_bytes} body bytes exceeds the bounds "
            f"({MAX_HEADER_BYTES} and {MAX_BODY_BYTES})"
        )
