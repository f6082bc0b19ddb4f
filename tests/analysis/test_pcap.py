"""Reading packet captures as columns."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw
from scapy.utils import PcapNgWriter

from testbed.analysis.headers import ENCAPSULATED, MALFORMED, UNSEQUENCED
from testbed.analysis.pcap import OUTBOUND, Capture, PacketBatch
from testbed.analysis.pcapng import to_pcapng
from testbed.errors import CaptureError
from tests.analysis.captures import (
    ORIGIN_UNIX_S,
    TIMESTAMPS,
    datagram,
    segment,
    sll2,
    write_pcap,
)

SEGMENT = segment("10.0.0.1", "10.0.0.2", 40000, 7003, 500, seq=7, flags="S")


def read(path: Path) -> PacketBatch:
    batches = list(Capture(path))
    assert len(batches) == 1
    return batches[0]


def address(text: str) -> int:
    return int(struct.unpack("!I", socket.inet_aton(text))[0])


def ends(path: Path) -> list[tuple[str, str]]:
    capture = Capture(path)
    text = capture.addresses.text
    return [
        (text(src), text(dst))
        for batch in capture
        for src, dst in zip(batch.src.tolist(), batch.dst.tolist(), strict=True)
    ]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_reads_both_byte_orders_and_resolutions(tmp_path, order, nanoseconds):
    frames = [(1.5, bytes(Ether() / SEGMENT))]
    path = write_pcap(tmp_path / "a.pcap", frames, 1, order=order, nanoseconds=nanoseconds)
    packets = read(path)
    assert packets.time_ns.tolist() == [ORIGIN_UNIX_S * 10**9 + 1_500_000_000]
    assert packets.src.tolist() == [address("10.0.0.1")]
    assert packets.dst.tolist() == [address("10.0.0.2")]
    assert packets.src_port.tolist() == [40000]
    assert packets.dst_port.tolist() == [7003]
    assert packets.header_bytes.tolist() == [20 + 32]
    assert packets.payload_bytes.tolist() == [500]
    assert packets.sequence.tolist() == [7]
    assert packets.syn.tolist() == [True]


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


def test_counts_lengths_on_the_wire_of_truncated_packets(tmp_path):
    frame = bytes(Ether() / SEGMENT)
    packets = read(write_pcap(tmp_path / "a.pcap", [(0, frame)], 1, snap=60))
    assert packets.original_bytes.tolist() == [len(frame)]
    assert packets.payload_bytes.tolist() == [500]


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


def test_a_file_cut_short_gives_its_whole_packets(tmp_path):
    path = write_pcap(tmp_path / "a.pcap", [(i, bytes(Ether() / SEGMENT)) for i in range(5)], 1)
    path.write_bytes(path.read_bytes()[:-10])
    capture = Capture(path)
    assert sum(len(batch) for batch in capture) == 4
    assert capture.unread_bytes == 16 + 566 - 10


def test_reading_goes_on_behind_a_damaged_length(tmp_path):
    path = write_pcap(tmp_path / "a.pcap", [(i, bytes(Ether() / SEGMENT)) for i in range(5)], 1)
    damaged = bytearray(path.read_bytes())
    record = 24 + 2 * (16 + 566)
    damaged[record + 8 : record + 12] = b"\xff\xff\xff\x7f"
    path.write_bytes(damaged)
    capture = Capture(path)
    seconds = np.concatenate([batch.time_ns for batch in capture]) // 10**9 - ORIGIN_UNIX_S
    assert seconds.tolist() == [0, 1, 3, 4]
    assert capture.unread_bytes == 16 + 566


def test_a_length_that_leads_astray_costs_its_own_packet_alone(tmp_path):
    path = write_pcap(tmp_path / "a.pcap", [(i, bytes(Ether() / SEGMENT)) for i in range(5)], 1)
    damaged = bytearray(path.read_bytes())
    record = 24 + 2 * (16 + 566)
    damaged[record + 8 : record + 12] = struct.pack("<I", 300)
    path.write_bytes(damaged)
    capture = Capture(path)
    seconds = np.concatenate([batch.time_ns for batch in capture]) // 10**9 - ORIGIN_UNIX_S
    assert seconds.tolist() == [0, 1, 3, 4]
    assert capture.unread_bytes == 16 + 566


@pytest.mark.parametrize("pcapng", [False, True])
def test_of_a_capture_with_a_tenth_of_its_bytes_flipped_the_rest_is_read(tmp_path, pcapng):
    frames = [(i / 8, bytes(Ether() / SEGMENT)) for i in range(400)]
    path = write_pcap(tmp_path / "a.pcap", frames, 1)
    if pcapng:
        path = tmp_path / "a.pcapng"
        with PcapNgWriter(str(path)) as writer:
            for time_s, frame in frames:
                packet = Ether(frame)
                packet.time = ORIGIN_UNIX_S + time_s
                writer.write(packet)
    data = np.frombuffer(path.read_bytes(), np.uint8).copy()
    rng = np.random.default_rng(3)
    head = 200 if pcapng else 24  # without these a file is no capture at all
    flipped = head + np.flatnonzero(rng.random(len(data) - head) < 0.1)
    data[flipped] ^= rng.integers(1, 256, len(flipped), np.uint8)
    path.write_bytes(data.tobytes())
    capture = Capture(path)
    packets = list(capture)
    lengths = np.concatenate([batch.original_bytes for batch in packets])
    assert (15 if pcapng else 100) < len(lengths) < 400
    assert np.mean(lengths == 566) > 0.95
    assert capture.unread_bytes >= (400 - len(lengths)) * 566


def test_what_follows_a_stretch_of_rubbish_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.analysis.record_file.CHUNK_BYTES", 3000)
    path = write_pcap(tmp_path / "a.pcap", [(i, bytes(Ether() / SEGMENT)) for i in range(9)], 1)
    whole = path.read_bytes()
    cut = 24 + 4 * (16 + 566)
    rubbish = np.random.default_rng(1).bytes(10_000)
    path.write_bytes(whole[:cut] + rubbish + whole[cut:])
    capture = Capture(path)
    assert sum(len(batch) for batch in capture) >= 8
    assert capture.unread_bytes >= 10_000


def test_records_that_span_chunks_are_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.analysis.record_file.CHUNK_BYTES", 1000)
    path = write_pcap(tmp_path / "a.pcap", [(i, bytes(Ether() / SEGMENT)) for i in range(9)], 1)
    seconds = np.concatenate([batch.time_ns for batch in Capture(path)]) // 10**9 - ORIGIN_UNIX_S
    assert seconds.tolist() == list(range(9))


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


@pytest.mark.parametrize("order", "<>")
def test_reads_pcapng_with_several_sections_interfaces_and_link_types(tmp_path, order):
    path = tmp_path / "a.pcapng"
    path.write_bytes(
        section(order, [1, 101], 6, 2_500_000) + section(order, [101], 0x80 | 10, 3 * 1024 + 512)
    )
    capture = Capture(path)
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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello, world; this is no capture", "neither pcap nor pcapng"),
        (bytes.fromhex("d4c3b2a1") + bytes(4), "within the file header"),
        (bytes.fromhex("0a0d0d0a1c000000"), "within the section header"),
    ],
)
def test_a_file_that_is_no_capture_is_named_in_the_error(tmp_path, content, message):
    path = tmp_path / "broken.pcap"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match=f"broken.pcap.*{message}"):
        list(Capture(path))


def test_packets_of_an_unknown_link_type_are_counted_by_their_lengths(tmp_path):
    capture = Capture(write_pcap(tmp_path / "usb.pcap", [(0, bytes(Ether() / SEGMENT))], 220))
    (packets,) = list(capture)
    assert (packets.original_bytes.tolist(), packets.src.tolist()) == ([566], [0])
    assert dict(capture.unknown_link_types) == {220: 1}


def test_a_compressed_capture_is_called_one(tmp_path):
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(bytes(100)))
    with pytest.raises(CaptureError, match="gunzip it first"):
        list(Capture(path))


def test_reads_ipv6_beside_ipv4(tmp_path):
    tcp = TCP(sport=40000, dport=7003, seq=9, flags="A", options=TIMESTAMPS)
    six = IPv6(src="fd00::1", dst="fd00::2") / tcp / Raw(bytes(700))
    path = write_pcap(
        tmp_path / "a.pcap", [(0, bytes(Ether() / six)), (1, bytes(Ether() / SEGMENT))], 1, snap=90
    )
    packets = read(path)
    assert packets.payload_bytes.tolist() == [700, 500]
    assert packets.header_bytes.tolist() == [40 + 32, 20 + 32]
    assert packets.dst_port.tolist() == [7003, 7003]
    assert packets.sequence.tolist() == [9, 7]
    assert ends(path) == [("fd00::1", "fd00::2"), ("10.0.0.1", "10.0.0.2")]


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
    capture = Capture(path)
    (packets,) = list(capture)
    assert packets.time_ns.tolist() == [0, 5 * 10**9]
    assert packets.payload_bytes.tolist() == [500, 500]
    assert capture.unread_bytes == 16


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(CaptureError, match="No such file"):
        list(Capture(tmp_path / "none.pcap"))


def test_a_section_in_another_byte_order_is_read(tmp_path):
    path = tmp_path / "a.pcapng"
    path.write_bytes(section("<", [1], 6, 0) + section(">", [1], 6, 0) + section("<", [1], 6, 0))
    capture = Capture(path)
    assert sum(len(packets) for packets in capture) == 3
    assert capture.unread_bytes == 0


@pytest.mark.parametrize("flipped", [1, 40])
def test_packets_of_impossible_times_are_unread(tmp_path, flipped):
    path = tmp_path / "a.pcapng"
    path.write_bytes(section("<", [1] * flipped, 6, 1 << 60))
    capture = Capture(path)
    assert list(capture) == []
    assert capture.unread_bytes > 566 * flipped


def test_names_of_addresses_are_read(tmp_path):
    path = tmp_path / "a.pcapng"
    four = struct.pack("<HH4s8s", 1, 12, bytes([10, 0, 0, 1]), b"ap1\0alt\0")
    six = struct.pack("<HH16s4s", 2, 20, ipaddress.ip_address("fd00::1").packed, b"ap2\0")
    short = struct.pack("<HH4s", 1, 3, b"\1\2\3")
    names = block("<", 4, four + short + six + bytes(4))
    path.write_bytes(section("<", [1], 6, 0) + names)
    capture = Capture(path)
    list(capture)
    assert capture.description.names == {"10.0.0.1": "ap1", "fd00::1": "ap2"}
    assert capture.unread_bytes == 0


def test_what_is_left_unread_without_damage_has_a_reason(tmp_path):
    path = tmp_path / "a.pcapng"
    path.write_bytes(section("<", [1], 6, 0) + block("<", 3, struct.pack("<I", 60)))
    capture = Capture(path)
    list(capture)
    assert capture.description.unread_for == {"simple packet blocks have no time"}
    path.write_bytes(section("<", [1], 12, 0))
    capture = Capture(path)
    assert list(capture) == []
    assert capture.description.unread_for == {"times finer than a nanosecond are not read"}


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


@pytest.mark.parametrize("snap", [192, 0], ids=["stated", "not stated"])
def test_a_damaged_block_among_cut_packets_costs_itself_alone(tmp_path, snap):
    raw = write_pcap(
        tmp_path / "raw.pcap", [(i, sll2(SEGMENT, 5, outgoing=False)) for i in range(50)], 276
    )
    data = bytearray(write_pcapng(raw, tmp_path / "a.pcapng", snap).read_bytes())
    place = 0
    for _ in range(12):  # a section, an interface, and packets
        place += struct.unpack_from("<I", data, place + 4)[0]
    data[place + 4] ^= 0x40
    (tmp_path / "a.pcapng").write_bytes(data)
    capture = Capture(tmp_path / "a.pcapng")
    assert sum(len(packets) for packets in capture) == 49


def write_pcapng(raw: Path, path: Path, snap: int) -> Path:
    """What the testbed makes of a raw capture, its packets cut to 192 bytes."""
    cut = raw.with_name("cut.pcap")
    subprocess.run(["editcap", "-F", "pcap", "-s", "192", raw, cut], check=True, timeout=60)
    to_pcapng({cut: {5: "ap1"}}, path, snap_bytes=snap)
    return path


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
