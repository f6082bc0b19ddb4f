"""Captures analysed in one pass, also against tshark's own statistics."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scapy.layers.inet import fragment
from scapy.layers.l2 import ARP, Ether

from testbed.analysis.pcapng import to_pcapng
from testbed.analysis.traffic import TrafficAnalysis, analyze_capture
from testbed.errors import CaptureError
from tests.analysis.captures import (
    ORIGIN_UNIX_S,
    backhaul_capture,
    datagram,
    segment,
    sll2,
    write_pcap,
)


def bare_capture(path: Path, *, largest: int, snap: int = 262144) -> Path:
    """A mixed capture: two transfers, datagrams and what is not IP; segments up to `largest`."""
    rng = np.random.default_rng(1)
    frames: list[tuple[float, bytes]] = []
    sequence = {40000: 1, 40001: 1}
    for i in range(300):
        port = 40000 + i % 2
        payload = int(rng.integers(0, largest))
        packet = segment("10.0.0.1", "10.0.0.2", port, 7003, payload, sequence[port])
        sequence[port] += payload
        frames.append((0.9 + i / 7, bytes(Ether() / packet)))
        ack = segment("10.0.0.2", "10.0.0.1", 7003, port, 0)
        frames.append((0.91 + i / 7, bytes(Ether() / ack)))
    frames += [(i, bytes(Ether() / datagram("10.0.0.3", "10.0.0.1", 900))) for i in range(1, 20)]
    frames += [(i, bytes(Ether() / ARP())) for i in range(1, 5)]
    frames.sort(key=lambda frame: frame[0])
    return write_pcap(path, frames, 1, snap=snap)


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


def test_a_bare_capture_has_its_addresses_as_servers(tmp_path):
    found = analyze_capture([bare_capture(tmp_path / "a.pcap", largest=1400)], interval_s=30)
    assert found.servers == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    figures = found.figures()
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures
    sent = [row for row in figures["intervals"] if row["direction"] == "uplink"]
    assert sum(row["bytes"] for row in sent) == found.captured_bytes - 4 * 42
    assert {row["interval"] for row in sent} == {0, 1}
    assert figures["crowded"] == ["10.0.0.1"]
    assert figures["servers_under_100mbps_share"] == 1


def test_peaks_tell_the_crowded_servers(tmp_path):
    peaks = analyze_capture([bare_capture(tmp_path / "a.pcap", largest=1400)], 30).peaks()
    assert peaks["server"].tolist() == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert peaks["crowded"].tolist() == [True, False, False]
    assert peaks["peak_uplink_mbps"].max() == peaks["peak_downlink_mbps"].max()


def test_several_captures_count_together(tmp_path):
    one = write_pcap(
        tmp_path / "1.pcap", [(5, bytes(segment("10.0.0.1", "10.0.0.2", 1, 7001, 100)))], 101
    )
    other = write_pcap(
        tmp_path / "2.pcap",
        [(1, sll2(segment("10.0.0.1", "10.0.0.3", 1, 7001, 100), 3, outgoing=True))],
        276,
    )
    found = analyze_capture([one, other], interval_s=2)
    assert found.packets == 2
    assert found.origin_unix_s == ORIGIN_UNIX_S + 1
    assert found.backhaul["interval"].tolist() == [0, 2, 2, 0]  # by server: .1, .1, .2, .3
    assert found.flows["dst"].tolist() == ["10.0.0.3", "10.0.0.2"]
    assert found.flows["interface"].tolist() == ["ifindex 3", "interface 0"]


def test_an_interval_before_the_first_packets_is_counted_from_there(tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.analysis.record_file.CHUNK_BYTES", 1000)
    frames = [
        (time_s, bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 1, 7001, 500)))
        for time_s in (100, 101, 50)
    ]
    found = analyze_capture([write_pcap(tmp_path / "a.pcap", frames, 1)], interval_s=30)
    assert found.origin_unix_s == ORIGIN_UNIX_S + 100 - 60
    assert sorted(set(found.backhaul["interval"])) == [0, 2]
    assert found.flows["started_s"].tolist() == [10.0]


def test_a_capture_without_packets_has_figures_of_zero(tmp_path):
    found = analyze_capture([write_pcap(tmp_path / "a.pcap", [], 1)], interval_s=30)
    figures = found.figures()
    assert figures["totals"] == {"packets": 0, "bytes": 0}
    assert figures["intervals"] == figures["flows"] == figures["crowded"] == []
    assert all(isinstance(table, pd.DataFrame) for table in found.tables().values())


def test_a_capture_of_which_nothing_can_be_read_is_an_error(tmp_path):
    path = write_pcap(tmp_path / "a.pcap", [(0, bytes(60))], 1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CaptureError, match="no packet can be read in 75 bytes"):
        analyze_capture([path], interval_s=30)


def test_a_link_type_that_nobody_understands_is_an_error(tmp_path):
    with pytest.raises(CaptureError, match=r"usb\.pcap: link type 220 is not understood"):
        analyze_capture([write_pcap(tmp_path / "usb.pcap", [(0, bytes(100))], 220)], 30)


def with_problems(paths: list[Path]) -> TrafficAnalysis:
    found = analyze_capture(paths, interval_s=30)
    assert found.packets > 0
    assert found.problems
    return found


def test_what_can_be_read_is_counted_and_the_rest_told(tmp_path):
    good = bare_capture(tmp_path / "a.pcap", largest=100)
    whole = analyze_capture([good], 30).packets
    text = tmp_path / "text.pcap"
    text.write_text("this is no capture")
    found = with_problems([good, text])
    assert found.packets == whole
    assert "text.pcap: is neither pcap nor pcapng" in found.problems[0]

    good.write_bytes(good.read_bytes()[:-3])
    found = with_problems([good])
    assert found.packets == whole - 1
    assert "damaged or cut short" in found.problems[0]
    assert found.unread_bytes[str(good)] > 0


def test_an_unknown_link_type_beside_others_counts_in_the_totals(tmp_path):
    usb = write_pcap(tmp_path / "usb.pcap", [(0, bytes(100))], 220)
    good = write_pcap(
        tmp_path / "a.pcap", [(0, bytes(segment("10.0.0.1", "10.0.0.2", 1, 2, 10)))], 101
    )
    found = with_problems([usb, good])
    assert found.packets == 2
    assert found.servers == ["10.0.0.1", "10.0.0.2"]


def test_a_raw_capture_of_a_run_has_the_kernels_interfaces(tmp_path):
    found = analyze_capture([backhaul_capture(tmp_path / "raw.pcap")], interval_s=30)
    seen = set(zip(found.flows["interface"], found.flows["direction"], strict=True))
    assert seen == {  # directions are the switch's here
        ("ifindex 5", "downlink"),
        ("ifindex 5", "uplink"),
        ("ifindex 6", "downlink"),
        ("ifindex 6", "uplink"),
        ("ifindex 9", "downlink"),
    }


def test_a_frame_captured_at_both_its_ends_counts_once_in_each_direction(tmp_path):
    raw = backhaul_capture(tmp_path / "raw.pcap")
    both = tmp_path / "both.pcapng"
    to_pcapng({raw: {5: "ap1", 6: "ap2"}}, both, {"ap1": "10.0.0.1", "ap2": "10.0.0.2"})
    found = analyze_capture([both], interval_s=100)
    packets = found.backhaul.groupby(["server", "direction"])["packets"].sum().to_dict()
    assert packets == {
        ("10.0.0.1", "uplink"): 2,
        ("10.0.0.1", "downlink"): 1,
        ("10.0.0.2", "uplink"): 1,
        ("10.0.0.2", "downlink"): 3,  # a client's too, which was captured at one end only
    }
    assert found.names == {"10.0.0.1": "ap1", "10.0.0.2": "ap2"}
    assert found.packets == 7


def test_a_capture_without_any_ip_is_suspect(tmp_path):
    frames = [(i, bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 1, 2, 10))) for i in range(9)]
    found = with_problems([write_pcap(tmp_path / "sll.pcap", frames, 113)])
    assert (
        "none of 9 packets is IP with its header captured, read with link type 113"
        in found.problems[0]
    )


def test_headers_that_cannot_be_true_are_told(tmp_path):
    frame = bytearray(bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 1, 2, 10)))
    frame[16] = 0xFF
    found = with_problems([write_pcap(tmp_path / "a.pcap", [(0, bytes(frame))], 1)])
    assert (
        "1 of 1 packets have lengths in their IP or TCP headers that cannot be true"
        in found.problems[0]
    )
    assert found.flows["payload_bytes"].tolist() == [10]


def test_sequence_numbers_that_leap_about_are_counted_in_time(tmp_path):
    frame = bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 1, 2, 9))
    places = np.random.default_rng(2).permutation(20_000) * 10  # a byte is missing after each 9
    frames = [
        (i / 1000, frame[:38] + int(place).to_bytes(4, "big") + frame[42:])
        for i, place in enumerate(places)
    ]
    path = write_pcap(tmp_path / "a.pcap", frames, 1)
    begun = time.monotonic()
    (flow,) = analyze_capture([path], interval_s=30).flows.itertuples()
    assert time.monotonic() - begun < 10  # half a minute if each looks at all the gaps
    assert (flow.packets, flow.retransmitted_bytes, flow.missing_bytes) == (20_000, 0, 19_999)


def test_of_packets_cut_before_the_sequence_number_none_counts_as_repeated(tmp_path):
    found = with_problems([bare_capture(tmp_path / "a.pcap", largest=1400, snap=44)])
    assert "600 of 623 packets are cut before their TCP header's flags" in found.problems[0]
    assert found.flows["retransmitted_bytes"].sum() == found.flows["missing_bytes"].sum() == 0


def test_ip_fragments_of_tcp_are_not_repetitions(tmp_path):
    pieces = fragment(segment("10.0.0.1", "10.0.0.2", 1, 2, 4000), fragsize=1400)
    frames = [(i, bytes(Ether() / piece)) for i, piece in enumerate(pieces)]
    found = with_problems([write_pcap(tmp_path / "a.pcap", frames, 1)])
    assert "2 of 3 packets are later fragments of IP packets" in found.problems[0]
    assert found.flows["payload_bytes"].sum() == 4000
    assert found.flows["retransmitted_bytes"].sum() == 0
