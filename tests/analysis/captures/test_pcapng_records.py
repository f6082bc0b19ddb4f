"""Sections, interfaces and blocks of pcapng files."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter

from testbed.analysis.captures.capture_file import CaptureFile
from tests.analysis.captures.pcapng_blocks import block, section
from tests.analysis.captures.reading import SEGMENT, read


@pytest.mark.parametrize("order", "<>")
def test_reads_pcapng_with_several_sections_interfaces_and_link_types(tmp_path, order):
    path = tmp_path / "a.pcapng"
    path.write_bytes(
        section(order, [1, 101], 6, 2_500_000) + section(order, [101], 0x80 | 10, 3 * 1024 + 512)
    )
    capture = CaptureFile(path)
    (packets,) = list(capture)
    assert packets.time_ns.tolist() == [2_500_000_000, 2_500_000_000, 3_500_000_000]
    assert packets.direction.tolist() == [1, 2, 1]
    assert packets.payload_bytes.tolist() == [500] * 3
    assert packets.interface.tolist() == [0, 1, 2]
    assert capture.names().tolist() == ["eth0", "eth1", "eth0"]


def test_reads_what_scapy_writes(tmp_path):
    path = tmp_path / "a.pcapng"
    with PcapNgWriter(str(path)) as writer:
        writer.write(Ether() / SEGMENT)
    assert read(path).payload_bytes.tolist() == [500]


def old_packet_blocks(order: str) -> bytes:
    """A section whose packet is in the obsolete block, beside one in a simple block."""
    out = section(order, [1], 6, 0)
    frame = bytes(Ether() / SEGMENT)
    padded = frame + bytes(-len(frame) % 4)
    head = struct.pack(order + "HHIIII", 0, 3, 0, 5_000_000, len(frame), len(frame))
    return out + block(order, 2, head + padded) + block(order, 3, struct.pack(order + "I", 60))


@pytest.mark.parametrize("order", "<>")
def test_obsolete_packet_blocks_are_read_and_those_without_time_are_not(tmp_path, order):
    path = tmp_path / "a.pcapng"
    path.write_bytes(old_packet_blocks(order))
    capture = CaptureFile(path)
    (packets,) = list(capture)
    assert packets.time_ns.tolist() == [0, 5 * 10**9]
    assert packets.payload_bytes.tolist() == [500, 500]
    assert capture.unread_bytes == 16


def test_a_section_in_another_byte_order_is_read(tmp_path):
    path = tmp_path / "a.pcapng"
    path.write_bytes(section("<", [1], 6, 0) + section(">", [1], 6, 0) + section("<", [1], 6, 0))
    capture = CaptureFile(path)
    assert sum(len(packets) for packets in capture) == 3
    assert capture.unread_bytes == 0


@pytest.mark.parametrize("flipped", [1, 40])
def test_packets_of_impossible_times_are_unread(tmp_path, flipped):
    path = tmp_path / "a.pcapng"
    path.write_bytes(section("<", [1] * flipped, 6, 1 << 60))
    capture = CaptureFile(path)
    assert list(capture) == []
    assert capture.unread_bytes > 566 * flipped


def test_names_of_addresses_are_read(tmp_path):
    path = tmp_path / "a.pcapng"
    four = struct.pack("<HH4s8s", 1, 12, bytes([10, 0, 0, 1]), b"ap1\0alt\0")
    six = struct.pack("<HH16s4s", 2, 20, ipaddress.ip_address("fd00::1").packed, b"ap2\0")
    short = struct.pack("<HH4s", 1, 3, b"\1\2\3")
    names = block("<", 4, four + short + six + bytes(4))
    path.write_bytes(section("<", [1], 6, 0) + names)
    capture = CaptureFile(path)
    list(capture)
    assert capture.description.names == {"10.0.0.1": "ap1", "fd00::1": "ap2"}
    assert capture.unread_bytes == 0


def test_what_is_left_unread_without_damage_has_a_reason(tmp_path):
    path = tmp_path / "a.pcapng"
    path.write_bytes(section("<", [1], 6, 0) + block("<", 3, struct.pack("<I", 60)))
    capture = CaptureFile(path)
    list(capture)
    assert capture.description.unread_for == {"simple packet blocks have no time"}
    path.write_bytes(section("<", [1], 12, 0))
    capture = CaptureFile(path)
    assert list(capture) == []
    assert capture.description.unread_for == {"times finer than a nanosecond are not read"}
