"""Flows: bytes, duration, and what was sent more than once or never captured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scapy.layers.l2 import Ether

from testbed.analysis.captures.capture_file import CaptureFile
from testbed.analysis.captures.pcapng_writer import to_pcapng
from testbed.analysis.traffic.flows import COLUMNS, FlowTally
from tests.analysis.crafted_captures import (
    ORIGIN_UNIX_S,
    backhaul_capture,
    datagram,
    segment,
    write_pcap,
)

ENDS = ("10.0.0.1", "10.0.0.2", 40000, 7002)
HEADER = 14 + 20 + 32


def flows_of(path: Path, **clock) -> pd.DataFrame:
    capture = CaptureFile(path)
    tally = FlowTally(capture)
    for packets in capture:
        tally.add(packets)
    return tally.table(**clock)


def sent(tmp_path, segments, **options) -> pd.DataFrame:
    """The flows of (sequence, payload bytes, flags) sent 10 ms apart."""
    frames = [
        (i / 100, bytes(Ether() / segment(*ENDS, payload, seq % 2**32, flags)))
        for i, (seq, payload, flags) in enumerate(segments)
    ]
    return flows_of(write_pcap(tmp_path / "a.pcap", frames, 1, **options))


def data(*places: tuple[int, int]) -> list[tuple[int, int, str]]:
    return [(seq, payload, "A") for seq, payload in places]


def test_a_runs_flows_have_its_servers_directions_and_clock(tmp_path):
    raw = backhaul_capture(tmp_path / "raw.pcap")
    to_pcapng({raw: {5: "ap1", 6: "ap2"}}, tmp_path / "a.pcapng")
    flows = flows_of(tmp_path / "a.pcapng", origin_ns=ORIGIN_UNIX_S * 10**9, tdf=2)
    assert list(flows.columns) == list(COLUMNS)
    flow = flows[(flows.interface == "ap1") & (flows.direction == "uplink")].iloc[0]
    assert (flow.src, flow.src_port, flow.dst, flow.dst_port) == (
        "10.0.0.1",
        40000,
        "10.0.0.2",
        7003,
    )
    assert (flow.protocol, flow.cause) == ("tcp", "migration")
    assert (flow.packets, flow.payload_bytes, flow.retransmitted_bytes) == (2, 21000, 1000)
    assert flow.bytes == 21000 + 15 * HEADER  # 14 frames and one
    assert flow.captured_bytes == 21000 + 2 * (20 + 20 + 32)
    assert (flow.started_s, flow.duration_s) == (0.5, 15.0)
    assert flow.goodput_mbps == pytest.approx(20000 * 8 / 15 / 1e6)
    assert flow.missing_bytes == 0
    assert len(flows) == 5


@pytest.mark.parametrize("chunk_bytes", [1000, 1 << 20])
def test_repeated_bytes_are_found_across_batches_and_the_sequence_wrap(
    tmp_path, monkeypatch, chunk_bytes
):
    monkeypatch.setattr("testbed.analysis.captures.record_file.CHUNK_BYTES", chunk_bytes)
    start = 2**32 - 1500
    offsets = (0, 1000, 2000, 1500, 3000)
    flows = sent(tmp_path, data(*((start + offset, 1000) for offset in offsets)))
    assert flows["payload_bytes"].tolist() == [5000]
    assert flows["retransmitted_bytes"].tolist() == [1000]
    assert flows["missing_bytes"].tolist() == [0]
    assert flows["cause"].tolist() == ["upload"]


@pytest.mark.parametrize("chunk_bytes", [1000, 1 << 20])
def test_a_late_segment_that_fills_a_hole_is_no_repetition(tmp_path, monkeypatch, chunk_bytes):
    """Lost before the place of the capture, the second comes once: by retransmission."""
    monkeypatch.setattr("testbed.analysis.captures.record_file.CHUNK_BYTES", chunk_bytes)
    flows = sent(tmp_path, data((1, 1000), (2001, 1000), (3001, 1000), (1001, 1000), (1001, 1000)))
    assert flows["retransmitted_bytes"].tolist() == [1000]
    assert flows["missing_bytes"].tolist() == [0]


def test_a_segment_that_overlaps_a_hole_and_more_is_split(tmp_path):
    flows = sent(tmp_path, data((1, 1000), (2001, 1000), (501, 1700)))
    assert flows["retransmitted_bytes"].tolist() == [500 + 200]
    assert flows["missing_bytes"].tolist() == [0]


def test_what_was_passed_over_and_never_came_is_missing(tmp_path):
    flows = sent(tmp_path, [*data((1, 1000), (3001, 1000)), (6001, 0, "FA")])
    assert flows["missing_bytes"].tolist() == [2000 + 2000]
    assert flows["retransmitted_bytes"].tolist() == [0]


@pytest.mark.parametrize("chunk_bytes", [100, 1 << 20])
def test_an_acknowledgement_that_overtakes_data_does_not_make_it_a_repetition(
    tmp_path, monkeypatch, chunk_bytes
):
    """Two processors hand one stream's segments to a capture in an order of their own."""
    monkeypatch.setattr("testbed.analysis.captures.record_file.CHUNK_BYTES", chunk_bytes)
    segments = [(1, 1000, "A"), (2001, 0, "A"), (1001, 1000, "A"), (2001, 1000, "A")]
    flows = sent(tmp_path, segments)
    assert flows["retransmitted_bytes"].tolist() == [0]
    assert flows["missing_bytes"].tolist() == [0]


def test_an_acknowledgement_does_not_hide_what_was_never_captured(tmp_path):
    flows = sent(tmp_path, [(1, 1000, "A"), (2001, 0, "A"), (2001, 1000, "A")])
    assert flows["missing_bytes"].tolist() == [1000]


def test_what_came_before_a_captures_first_segment_is_not_repeated(tmp_path):
    flows = sent(tmp_path, data((5001, 1000), (4001, 1000), (5001, 1000)))
    assert flows["retransmitted_bytes"].tolist() == [1000]
    assert flows["missing_bytes"].tolist() == [0]


def test_a_new_connection_on_the_same_ports_is_a_flow_of_its_own(tmp_path):
    segments = [(5000, 0, "S"), (5001, 100, "A"), (5000, 0, "S"), (9, 0, "S"), (10, 50, "A")]
    flows = sent(tmp_path, segments)
    assert flows["payload_bytes"].tolist() == [100, 50]
    assert flows["packets"].tolist() == [3, 2]  # a SYN that is sent again opens nothing
    assert flows["retransmitted_bytes"].tolist() == [0, 0]


def test_repeated_bytes_are_those_of_a_plain_count_whatever_is_lost_or_repeated(tmp_path):
    """Against a set of all bytes seen, with random losses, repetitions and reorderings."""
    rng = np.random.default_rng(5)
    for trial in range(20):
        places = [
            (1 + 100 * int(i), 100 * int(rng.integers(1, 4))) for i in rng.integers(0, 60, 80)
        ]
        seen: set[int] = set()
        repeated = 0
        for seq, payload in places:
            span = set(range(seq, seq + payload))
            repeated += len(span & seen)
            seen |= span
        missing = len(set(range(min(seen), max(seen))) - seen)
        flows = sent(tmp_path, data(*places))
        assert flows["retransmitted_bytes"].tolist() == [repeated], trial
        assert flows["missing_bytes"].tolist() == [missing], trial


def test_datagrams_have_flows_and_no_sequence(tmp_path):
    frames = [(i, bytes(Ether() / datagram("10.0.0.1", "10.0.0.2", 100))) for i in range(3)]
    flows = flows_of(write_pcap(tmp_path / "a.pcap", [*frames, (5, bytes(60))], 1))
    assert flows["protocol"].tolist() == ["udp"]
    assert flows["payload_bytes"].tolist() == [300]
    assert flows["retransmitted_bytes"].tolist() == [0]
    assert flows["goodput_mbps"].iloc[0] == pytest.approx(300 * 8 / 2 / 1e6)


def test_a_flow_of_one_instant_has_no_goodput(tmp_path):
    flows = sent(tmp_path, data((1, 1000)))
    assert flows["goodput_mbps"].isna().all()


def test_a_capture_without_ip_has_no_flows(tmp_path):
    flows = flows_of(write_pcap(tmp_path / "a.pcap", [(0, bytes(60))], 1))
    assert flows.empty
    assert list(flows.columns) == list(COLUMNS)
