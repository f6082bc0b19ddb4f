"""Messages on pipes, each a frame: a length (4 bytes, big-endian) and the message as MessagePack.

Lengths are checked before memory is taken, messages are decoded into a schema, and nothing is ever
unpickled. What is written and read goes past all buffers, so a file may be waited for in between.
"""

from __future__ import annotations

import functools
import math
import os
import select
import struct
import time
from typing import Any

import msgspec

from testbed.errors import ProtocolError

MAX_BYTES = 1 << 30  # of a message: a set of tensors, as in `protocol`

_LENGTH = struct.Struct(">I")
_decoder = functools.cache(msgspec.msgpack.Decoder)


def write(file: int, message: msgspec.Struct) -> None:
    """Write a message to a file descriptor; OSError if the other end has gone."""
    body = msgspec.msgpack.encode(message)
    frame = memoryview(_LENGTH.pack(len(body)) + body)
    while frame:
        frame = frame[os.write(file, frame) :]


def read(file: int, kind: Any, deadline_s: float = math.inf, max_bytes: int = MAX_BYTES) -> Any:
    """Return the next message of a file descriptor, None at its end.

    Its type is `kind`, or one of a union. Raises TimeoutError if it is not whole by `deadline_s` on
    the monotonic clock, ProtocolError if it is too long or of another kind.
    """
    head = _exactly(file, _LENGTH.size, deadline_s)
    if head is None:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > max_bytes:
        raise ProtocolError(f"a frame of {length} bytes; {max_bytes} are the limit")
    body = _exactly(file, length, deadline_s)
    try:
        return None if body is None else _decoder(kind).decode(body)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not understood: {error}") from error


def readable(file: int, deadline_s: float) -> bool:
    """Wait until there is something to read, or the end of it; return False past the deadline."""
    return bool(select.select([file], [], [], max(0.0, deadline_s - time.monotonic()))[0])


def _exactly(file: int, length: int, deadline_s: float) -> bytearray | None:
    found = bytearray(length)
    rest = memoryview(found)
    while rest:
        if deadline_s < math.inf and not readable(file, deadline_s):
            raise TimeoutError(f"{len(rest)} bytes of {length} did not come in time")
        count = os.readv(file, [rest])
        if not count:
            return None
        rest = rest[count:]
    return found
