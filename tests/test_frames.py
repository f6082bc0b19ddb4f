"""Messages on pipes: whole, bounded, in time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest

from testbed import frames
from testbed.errors import ProtocolError


class Told(msgspec.Struct, frozen=True):
    """A message."""

    data: bytes


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_messages_of_any_size_arrive_as_they_were_sent(pipe: tuple[int, int]) -> None:
    ours, theirs = pipe
    sent = [Told(b""), Told(os.urandom(1 << 20))]  # more than a pipe holds
    threading.Thread(target=lambda: [frames.write(theirs, each) for each in sent]).start()
    assert [frames.read(ours, Told, time.monotonic() + 10) for _ in sent] == sent


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\7half"])
def test_an_end_is_an_end_in_the_middle_of_a_frame_too(sent: bytes) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, sent)
    os.close(theirs)
    assert frames.read(ours, Told) is None
    os.close(ours)


@pytest.mark.parametrize("sent", [b"", b"\0\0", b"\0\0\0\7half"])
def test_what_is_not_whole_in_time_is_given_up(pipe: tuple[int, int], sent: bytes) -> None:
    ours, theirs = pipe
    os.write(theirs, sent)
    with pytest.raises(TimeoutError, match="did not come in time"):
        frames.read(ours, Told, time.monotonic() + 0.05)


@pytest.mark.parametrize(
    "sent",
    [b"\0\0\4\1", b"\0\0\0\1\xc1", b"\0\0\0\1\x80"],
    ids=["too long", "no MessagePack", "another message"],
)
def test_what_is_no_such_message_is_refused(pipe: tuple[int, int], sent: bytes) -> None:
    ours, theirs = pipe
    os.write(theirs, sent)
    with pytest.raises(ProtocolError):
        frames.read(ours, Told, max_bytes=1 << 10)
