"""A packet, and what is read of the captures that hold it."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from testbed.analysis.captures.capture_file import CaptureFile, PacketBatch
from tests.analysis.crafted_captures import segment

SEGMENT = segment("10.0.0.1", "10.0.0.2", 40000, 7003, 500, seq=7, flags="S")


def read(path: Path) -> PacketBatch:
    batches = list(CaptureFile(path))
    assert len(batches) == 1
    return batches[0]


def address(text: str) -> int:
    return int(struct.unpack("!I", socket.inet_aton(text))[0])


def ends(path: Path) -> list[tuple[str, str]]:
    capture = CaptureFile(path)
    text = capture.addresses.text
    return [
        (text(src), text(dst))
        for batch in capture
        for src, dst in zip(batch.src.tolist(), batch.dst.tolist(), strict=True)
    ]
