"""Captures analysed in one pass, against tshark's own statistics."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from scapy.layers.l2 import Ether

from testbed.analysis.traffic.traffic_analysis import analyze_capture
from tests.analysis.crafted_captures import segment, write_pcap
from tests.analysis.traffic.bare import bare_capture


def tshark(*arguments: str) -> str:
    result = subprocess.run(
        ["tshark", "-n", *arguments], capture_output=True, text=True, timeout=120, check=True
    )
    return result.stdout


def conversations(path: Path, protocol: str) -> dict[tuple[str, ...], tuple[int, int]]:
    """tshark's (packets, bytes) from the first end to the second, and the other way round."""
    found = {}
    for line in tshark("-q", "-z", f"conv,{protocol}", "-r", str(path)).splitlines():
        match = re.match(
            r"(\S+)\s+<->\s+(\S+)\s+(\d+) (\d+) (\w+)\s+(\d+) (\d+) (\w+)\s+", line.strip()
        )
        if match:
            first, second, back, back_bytes, unit_b, forth, forth_bytes, unit_f = match.groups()
            assert unit_b == unit_f == "bytes"
            found[first, second] = int(forth), int(forth_bytes)
            found[second, first] = int(back), int(back_bytes)
    return found


@pytest.mark.parametrize("snap", [262144, 112])
@pytest.mark.parametrize("largest", [1449, 60_000], ids=["frames", "offloaded segments"])
def test_tshark_counts_the_same_packets_and_bytes(tmp_path, largest, snap):
    path = bare_capture(tmp_path / "a.pcap", largest=largest, snap=snap)
    found = analyze_capture([path], interval_s=10)
    statistics = tshark("-q", "-z", "io,stat,10", "-r", str(path))
    rows = [
        tuple(map(int, row))
        for row in re.findall(r"<>\s+\S+\s*\|\s*(\d+)\s*\|\s*(\d+)", statistics)
    ]
    assert found.packets == sum(packets for packets, _ in rows) == 300 * 2 + 19 + 4
    assert found.captured_bytes == sum(size for _, size in rows)


def small(path: Path, largest: int, snap: int) -> Path:
    """Few enough bytes for tshark to print them in bytes, not kB."""
    frames = []
    for i in range(6):
        packet = segment("10.0.0.1", "10.0.0.2", 40000, 7003, largest, 1 + i * largest)
        frames.append((i, bytes(Ether() / packet)))
        frames.append((i, bytes(Ether() / segment("10.0.0.2", "10.0.0.1", 7003, 40000, 0))))
    return write_pcap(path, frames, 1, snap=snap)


@pytest.mark.parametrize("snap", [262144, 112])
def test_tshark_finds_the_same_flows(tmp_path, snap):
    path = small(tmp_path / "a.pcap", 1000, snap)
    flows = analyze_capture([path], interval_s=10).flows
    ours = {
        (f"{flow.src}:{flow.src_port}", f"{flow.dst}:{flow.dst_port}"): (
            flow.packets,
            flow.captured_bytes,
        )
        for flow in flows.itertuples()
    }
    assert ours == conversations(path, "tcp")


def test_tshark_finds_the_same_repeated_segments(tmp_path):
    """tshark names a repeated or a filling segment; the payload of both is told by its length."""
    sequence = [1, 1001, 2001, 1001, 3001, 2001, 4001]
    frames = [
        (i, bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 40000, 7003, 1000, seq)))
        for i, seq in enumerate(sequence)
    ]
    path = write_pcap(tmp_path / "a.pcap", frames, 1)
    repeated = tshark(
        *("-r", str(path), "-Y", "tcp.analysis.retransmission || tcp.analysis.out_of_order"),
        *("-T", "fields", "-e", "tcp.len"),
    )
    flows = analyze_capture([path], interval_s=10).flows
    assert flows["retransmitted_bytes"].tolist() == [sum(map(int, repeated.split()))] == [2000]


def test_large_segments_count_as_the_frames_that_a_link_carries(tmp_path):
    """The same payload with and without offloading has the same bytes on the wire."""
    found = []
    for payload, count in ((1448, 40), (1448 * 40, 1)):
        frames = [
            (i, bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 1, 7003, payload, 1 + i * payload)))
            for i in range(count)
        ]
        path = write_pcap(tmp_path / f"{count}.pcap", frames, 1)
        found.append(analyze_capture([path], interval_s=1000))
    assert found[0].backhaul["bytes"].tolist() == found[1].backhaul["bytes"].tolist()
    assert found[0].flows["bytes"].tolist() == found[1].flows["bytes"].tolist() == [40 * 1514]
    assert found[0].captured_bytes == 40 * 1514
    assert found[1].captured_bytes == 40 * 1448 + 66
