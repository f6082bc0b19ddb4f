"""Blocks and sections of pcapng files, written by hand."""

from __future__ import annotations

import struct

from scapy.layers.l2 import Ether

from tests.analysis.captures.reading import SEGMENT


def block(order: str, kind: int, body: bytes) -> bytes:
    length = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + length + body + length


def section(order: str, link_types: list[int], resolution: int, ticks: int) -> bytes:
    """A pcapng section with a packet on each of its interfaces, the flags behind a comment."""
    out = block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    for number, link_type in enumerate(link_types):
        name = f"eth{number}".encode()
        options = struct.pack(order + "HH", 2, 4) + name
        options += struct.pack(order + "HHBxxx", 9, 1, resolution) + bytes(4)
        out += block(order, 1, struct.pack(order + "HHI", link_type, 0, 0) + options)
    for number, link_type in enumerate(link_types):
        frame = bytes(Ether() / SEGMENT) if link_type == 1 else bytes(SEGMENT)
        head = struct.pack(
            order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame)
        )
        comment = struct.pack(order + "HH", 1, 5) + b"hello\0\0\0"
        flags = struct.pack(order + "HHI", 2, 4, 1 + number) + bytes(4)
        out += block(order, 6, head + frame + bytes(-len(frame) % 4) + comment + flags)
    return out
