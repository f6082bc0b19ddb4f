"""Reading packet captures as columns."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from scapy.layers.inet import TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from testbed.analysis.captures.capture_file import CaptureFile
from testbed.errors import CaptureError
from tests.analysis.captures.reading import SEGMENT, address, ends, read
from tests.analysis.crafted_captures import ORIGIN_UNIX_S, TIMESTAMPS, write_pcap


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


def test_counts_lengths_on_the_wire_of_truncated_packets(tmp_path):
    frame = bytes(Ether() / SEGMENT)
    packets = read(write_pcap(tmp_path / "a.pcap", [(0, frame)], 1, snap=60))
    assert packets.original_bytes.tolist() == [len(frame)]
    assert packets.payload_bytes.tolist() == [500]


def test_records_that_span_chunks_are_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.analysis.captures.record_file.CHUNK_BYTES", 1000)
    path = write_pcap(tmp_path / "a.pcap", [(i, bytes(Ether() / SEGMENT)) for i in range(9)], 1)
    seconds = (
        np.concatenate([batch.time_ns for batch in CaptureFile(path)]) // 10**9 - ORIGIN_UNIX_S
    )
    assert seconds.tolist() == list(range(9))


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
        list(CaptureFile(path))


def test_packets_of_an_unknown_link_type_are_counted_by_their_lengths(tmp_path):
    capture = CaptureFile(write_pcap(tmp_path / "usb.pcap", [(0, bytes(Ether() / SEGMENT))], 220))
    (packets,) = list(capture)
    assert (packets.original_bytes.tolist(), packets.src.tolist()) == ([566], [0])
    assert dict(capture.unknown_link_types) == {220: 1}


def test_a_compressed_capture_is_called_one(tmp_path):
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(bytes(100)))
    with pytest.raises(CaptureError, match="gunzip it first"):
        list(CaptureFile(path))


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


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(CaptureError, match="No such file"):
        list(CaptureFile(tmp_path / "none.pcap"))
