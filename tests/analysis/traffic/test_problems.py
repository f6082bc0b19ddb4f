"""What cannot be read of captures, or not be true, is told beside what can."""

from __future__ import annotations

from pathlib import Path

import pytest
from scapy.layers.inet import fragment
from scapy.layers.l2 import Ether

from testbed.analysis.traffic.traffic_analysis import TrafficAnalysis, analyze_capture
from testbed.errors import CaptureError
from tests.analysis.crafted_captures import segment, write_pcap
from tests.analysis.traffic.bare import bare_capture


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
