"""Headers of captured packets: link types, lengths, and what cannot be true."""

from __future__ import annotations

import struct

import pytest
from scapy.layers.l2 import ARP, Dot1Q, Ether

from testbed.analysis.captures.capture_file import OUTBOUND
from testbed.analysis.captures.headers import ENCAPSULATED, MALFORMED, UNSEQUENCED
from tests.analysis.captures.reading import SEGMENT, read
from tests.analysis.crafted_captures import datagram, segment, sll2, write_pcap


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (1, bytes(Ether() / SEGMENT)),
        (1, bytes(Ether() / Dot1Q(vlan=3) / SEGMENT)),
        (0, struct.pack("<I", 2) + bytes(SEGMENT)),
        (108, struct.pack(">I", 2) + bytes(SEGMENT)),
        (228, bytes(SEGMENT)),
        (101, bytes(SEGMENT)),
        (113, struct.pack(">HHH8xH", 4, 1, 6, 0x0800) + bytes(SEGMENT)),
        (276, sll2(SEGMENT, 5, outgoing=True)),
    ],
)
def test_reads_every_known_link_type(tmp_path, link_type, frame):
    packets = read(write_pcap(tmp_path / "a.pcap", [(0, frame)], link_type))
    assert packets.dst_port.tolist() == [7003]
    assert packets.payload_bytes.tolist() == [500]
    if link_type in (113, 276):
        assert packets.direction.tolist() == [OUTBOUND]
    if link_type == 276:
        assert packets.ifindex.tolist() == [5]


def test_a_packet_cut_within_its_ip_header_is_counted_but_not_read(tmp_path):
    packets = read(write_pcap(tmp_path / "a.pcap", [(0, bytes(Ether() / SEGMENT))], 1, snap=30))
    assert packets.src.tolist() == [0]
    assert packets.original_bytes.tolist() == [566]


def test_a_segment_over_64_kb_has_the_length_of_its_frame(tmp_path):
    big = bytearray(bytes(segment("10.0.0.1", "10.0.0.2", 1, 7003, 60000)))
    big[2:4] = b"\0\0"  # total length 0, as Linux sends it with BIG TCP
    frame = bytes(Ether(type=0x0800)) + bytes(big) + bytes(40000)
    packets = read(write_pcap(tmp_path / "a.pcap", [(0, frame)], 1))
    assert packets.payload_bytes.tolist() == [100000]


def test_a_large_segment_counts_as_the_frames_it_becomes(tmp_path):
    frames = [
        (0, bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 1, 7003, payload)))
        for payload in (0, 1448, 1449, 20000)
    ]
    frames.append((0, bytes(Ether() / datagram("10.0.0.1", "10.0.0.2", 100))))
    frames.append((0, bytes(Ether() / ARP())))
    packets = read(write_pcap(tmp_path / "a.pcap", frames, 1))
    header = 14 + 20 + 32
    assert packets.wire_bytes().tolist() == [
        header,
        1448 + header,
        1449 + 2 * header,
        20000 + 14 * header,
        14 + 28 + 100,
        42,
    ]


def test_padding_of_short_frames_is_no_payload(tmp_path):
    frame = bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 1, 7003, 0)).ljust(90, b"\0")
    assert read(write_pcap(tmp_path / "a.pcap", [(0, frame)], 1)).payload_bytes.tolist() == [0]


def tampered(offset: int, value: int) -> bytes:
    """SEGMENT in an Ethernet frame, one byte of it another."""
    frame = bytearray(bytes(Ether() / SEGMENT))
    frame[offset] = value
    return bytes(frame)


@pytest.mark.parametrize(
    ("offset", "value", "wire_bytes"),
    [
        (16, 0xFF, 566),  # the IP packet is longer than the frame
        (14, 0x43, 566),  # an IP header of 12 bytes: no IP
        (14 + 20 + 12, 0x30, 566),  # a TCP header of 12 bytes
        (16, 0x00, 14 + 20 + 32),  # an IP packet shorter than its headers
    ],
)
def test_lengths_that_cannot_be_true_are_not_believed(tmp_path, offset, value, wire_bytes):
    frames = [(0, bytes(Ether() / SEGMENT)), (1, tampered(offset, value))]
    packets = read(write_pcap(tmp_path / "a.pcap", frames, 1))
    assert packets.doubt.tolist() == [0, MALFORMED]
    assert packets.wire_bytes().tolist() == [566, wire_bytes]


def cooked_in_vlan(version: int) -> bytes:
    tag = struct.pack(">HH", 7, 0x0800)
    if version == 1:
        return struct.pack(">HHH8sH", 0, 1, 6, bytes(8), 0x8100) + tag + bytes(SEGMENT)
    return struct.pack(">HHIHBB8x", 0x8100, 0, 3, 1, 0, 6) + tag + bytes(SEGMENT)


@pytest.mark.parametrize(
    ("link_type", "frame"),
    [
        (113, cooked_in_vlan(1)),
        (276, cooked_in_vlan(2)),
        (1, bytes(Ether() / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3) / SEGMENT)),
    ],
)
def test_vlan_tags_are_passed_over(tmp_path, link_type, frame):
    packets = read(write_pcap(tmp_path / "a.pcap", [(0, frame)], link_type))
    assert (packets.payload_bytes.tolist(), packets.doubt.tolist()) == ([500], [0])
    tags = 3 if link_type == 1 else 1
    assert packets.frame_header_bytes.tolist() == [14 + 4 * tags]


def test_encapsulations_that_are_not_looked_into_are_doubtful(tmp_path):
    mpls = bytes(Ether(type=0x8847)) + bytes.fromhex("0001 01 40") + bytes(SEGMENT)
    packets = read(write_pcap(tmp_path / "a.pcap", [(0, mpls), (1, bytes(Ether() / ARP()))], 1))
    assert packets.doubt.tolist() == [ENCAPSULATED, 0]


def test_tcp_without_its_sequence_number_is_doubtful(tmp_path):
    frames = [
        (0, bytes(Ether() / SEGMENT)),
        (1, bytes(Ether() / datagram("1.1.1.1", "2.2.2.2", 9))),
    ]
    packets = read(write_pcap(tmp_path / "a.pcap", frames, 1, snap=44))
    assert packets.doubt.tolist() == [UNSEQUENCED, 0]
    assert packets.sequence.tolist() == [-1, -1]
    assert packets.dst_port.tolist() == [7003, 5001]
