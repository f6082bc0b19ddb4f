"""Of a damaged capture the rest is read."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgWriter

from testbed.analysis.captures.capture_file import CaptureFile
from testbed.analysis.captures.pcapng_writer import to_pcapng
from tests.analysis.captures.reading import SEGMENT
from tests.analysis.crafted_captures import ORIGIN_UNIX_S, sll2, write_pcap


def test_a_file_cut_short_gives_its_whole_packets(tmp_path):
    path = write_pcap(tmp_path / "a.pcap", [(i, bytes(Ether() / SEGMENT)) for i in range(5)], 1)
    path.write_bytes(path.read_bytes()[:-10])
    capture = CaptureFile(path)
    assert sum(len(batch) for batch in capture) == 4
    assert capture.unread_bytes == 16 + 566 - 10


def test_reading_goes_on_behind_a_damaged_length(tmp_path):
    path = write_pcap(tmp_path / "a.pcap", [(i, bytes(Ether() / SEGMENT)) for i in range(5)], 1)
    damaged = bytearray(path.read_bytes())
    record = 24 + 2 * (16 + 566)
    damaged[record + 8 : record + 12] = b"\xff\xff\xff\x7f"
    path.write_bytes(damaged)
    capture = CaptureFile(path)
    seconds = np.concatenate([batch.time_ns for batch in capture]) // 10**9 - ORIGIN_UNIX_S
    assert seconds.tolist() == [0, 1, 3, 4]
    assert capture.unread_bytes == 16 + 566


def test_a_length_that_leads_astray_costs_its_own_packet_alone(tmp_path):
    path = write_pcap(tmp_path / "a.pcap", [(i, bytes(Ether() / SEGMENT)) for i in range(5)], 1)
    damaged = bytearray(path.read_bytes())
    record = 24 + 2 * (16 + 566)
    damaged[record + 8 : record + 12] = struct.pack("<I", 300)
    path.write_bytes(damaged)
    capture = CaptureFile(path)
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
    capture = CaptureFile(path)
    packets = list(capture)
    lengths = np.concatenate([batch.original_bytes for batch in packets])
    assert (15 if pcapng else 100) < len(lengths) < 400
    assert np.mean(lengths == 566) > 0.95
    assert capture.unread_bytes >= (400 - len(lengths)) * 566


def test_what_follows_a_stretch_of_rubbish_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.analysis.captures.record_file.CHUNK_BYTES", 3000)
    path = write_pcap(tmp_path / "a.pcap", [(i, bytes(Ether() / SEGMENT)) for i in range(9)], 1)
    whole = path.read_bytes()
    cut = 24 + 4 * (16 + 566)
    rubbish = np.random.default_rng(1).bytes(10_000)
    path.write_bytes(whole[:cut] + rubbish + whole[cut:])
    capture = CaptureFile(path)
    assert sum(len(batch) for batch in capture) >= 8
    assert capture.unread_bytes >= 10_000


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
    capture = CaptureFile(tmp_path / "a.pcapng")
    assert sum(len(packets) for packets in capture) == 49


def write_pcapng(raw: Path, path: Path, snap: int) -> Path:
    """What the testbed makes of a raw capture, its packets cut to 192 bytes."""
    cut = raw.with_name("cut.pcap")
    subprocess.run(["editcap", "-F", "pcap", "-s", "192", raw, cut], check=True, timeout=60)
    to_pcapng({cut: {5: "ap1"}}, path, snap_bytes=snap)
    return path
