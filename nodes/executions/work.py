"""Work for the execution pool of a machine: a segment of a query, with the tensors that it reads.

The tensors, and the digests of the weights that the node holds, lie in a file in the run's
temporary file system; what travels over the socket is small. A file begins with a frame
(`testbed.frames`) of the digests.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from testbed import frames
from testbed.dnn.target import REFERENCE, Device, Precision, Target

MAX_MESSAGE_BYTES = 4096

_ALIGNED_BYTES = 64  # where tensors begin; what they hold is read in place


class Work(msgspec.Struct, frozen=True):
    """A segment to be executed: layers `first` to `last` of a client's model, for one query.

    `due_s`, on the monotonic clock, is when its outputs are of use at the latest; without it nobody
    waits for them. `urgent` work comes before all other. `replayed`: the node has handed out the
    outputs that were computed before the run, with which they are compared. `whole`: it is the
    whole query, and the tensors end with the answer that it got, to compare with; that is done at
    the `REFERENCE`. `device` and `precision` are those of the node that answered.
    """

    client: str
    query: int
    input_key: int
    first: int
    last: int
    number: int = 0
    file: str = ""
    due_s: float | None = None
    urgent: bool = False
    replayed: bool = False
    whole: bool = False
    device: Device = "cpu"
    precision: Precision = "float32"

    @property
    def target(self) -> Target:
        """Where it is to be executed, and how precisely."""
        return REFERENCE if self.whole else Target(self.device, self.precision)

    @property
    def compared(self) -> bool:
        """Whether there is something to compare its outputs with."""
        return self.replayed or self.whole


class Done(msgspec.Struct, frozen=True):
    """What came of the work of a number: the file of its outputs, where they were waited for.

    `equal`: it gave what had been handed out, where something had. `failure` says why it could not
    be executed. `device` executed it: not always the one that was meant.
    """

    number: int
    file: str | None = None
    equal: bool = True
    failure: str | None = None
    processor_s: float = 0.0
    device: Device = "cpu"


class Content(NamedTuple):
    """What the file of some work holds."""

    weights: dict[int, str]  # layer -> digest
    reads: dict[int, memoryview]  # producer -> its tensors
    answer: dict[int, memoryview]  # of `whole` work, likewise


class _Head(msgspec.Struct, frozen=True):
    weights: dict[int, str]
    reads: tuple[tuple[int, int], ...]  # producer, bytes
    answer: tuple[tuple[int, int], ...]


def write_content(
    path: Path,
    weights: Mapping[int, str],
    reads: Mapping[int, memoryview],
    answer: Mapping[int, memoryview] | None = None,
) -> int:
    """Write the file of some work; return its bytes."""
    answer = answer or {}

    def sizes(tensors: Mapping[int, memoryview]) -> tuple[tuple[int, int], ...]:
        return tuple((producer, len(data)) for producer, data in tensors.items())

    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        frames.write(file, _Head(dict(weights), sizes(reads), sizes(answer)))
        offset = _aligned(os.lseek(file, 0, os.SEEK_CUR))
        for data in (*reads.values(), *answer.values()):
            offset += _write_at(file, data, offset)
        return offset
    finally:
        os.close(file)


def read_content(path: Path) -> Content:
    """Return what `write_content` wrote, mapped; the file is gone then."""
    file = os.open(path, os.O_RDONLY)
    try:
        head = frames.read(file, _Head)
        offset = _aligned(os.lseek(file, 0, os.SEEK_CUR))
        whole = memoryview(mmap.mmap(file, 0, prot=mmap.PROT_READ))
    finally:
        os.close(file)
        path.unlink()

    def cut(sizes: Sequence[tuple[int, int]]) -> dict[int, memoryview]:
        nonlocal offset
        tensors = {}
        for producer, size in sizes:
            tensors[producer] = whole[offset : offset + size]
            offset += size
        return tensors

    return Content(head.weights, cut(head.reads), cut(head.answer))


def write_outputs(path: Path, outputs: Sequence[memoryview]) -> None:
    """Write outputs one after the other."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        offset = 0
        for data in outputs:
            offset += _write_at(file, data, offset)
    finally:
        os.close(file)


def take_outputs(path: Path) -> bytes:
    """Return what `write_outputs` wrote; the file is gone then."""
    data = path.read_bytes()
    path.unlink()
    return data


def discard(path: Path) -> None:
    """Delete the file of work, if it is there."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def _write_at(file: int, data: memoryview, offset: int) -> int:
    view = memoryview(data).cast("B")
    written = 0
    while written < len(view):
        written += os.pwrite(file, view[written:], offset + written)
    return written


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNED_BYTES) * _ALIGNED_BYTES
