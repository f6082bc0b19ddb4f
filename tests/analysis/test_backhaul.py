"""Backhaul traffic and TCP payload from captures."""

from __future__ import annotations

import numpy as np
import pytest
from scapy.layers.l2 import Ether

from testbed.analysis.backhaul import (
    address_traffic,
    analyze_capture,
    backhaul_table,
    peaks,
    server_traffic,
    share_under,
)
from testbed.analysis.flows import payload_by_flow
from testbed.analysis.pcap import Capture
from testbed.analysis.pcapng import to_pcapng
from testbed.errors import CaptureError
from tests.analysis.captures import ORIGIN_UNIX_S, backhaul_capture, segment, write_pcap

HEADER = 14 + 20 + 32
SERVERS = ["ap1", "ap2", "ap3"]
# 20,000 bytes of payload become 14 frames of at most 1448
LARGE, AGAIN, ACK, QUERY = 20000 + 14 * HEADER, 1000 + HEADER, HEADER, 100 + HEADER


@pytest.fixture
def capture(tmp_path):
    raw = backhaul_capture(tmp_path / "raw.pcap")
    to_pcapng({raw: {5: "ap1", 6: "ap2"}}, tmp_path / "a.pcapng")
    return Capture(tmp_path / "a.pcapng")


def table_of(capture, **changes):
    settings = {"origin_unix_s": ORIGIN_UNIX_S, "tdf": 1, "interval_s": 30, "duration_s": 40}
    return backhaul_table(server_traffic([capture], SERVERS), **{**settings, **changes})


def test_bytes_fall_to_their_server_interval_direction_and_cause(capture):
    table = table_of(capture)
    rows = table.set_index(["server", "interval", "direction", "cause"])["bytes"].to_dict()
    assert rows == {
        ("ap1", 0, "uplink", "migration"): LARGE,
        ("ap1", 0, "downlink", "migration"): ACK,
        ("ap1", 1, "uplink", "migration"): AGAIN,
        ("ap2", 0, "uplink", "migration"): ACK,
        ("ap2", 0, "downlink", "migration"): LARGE,
        ("ap2", 1, "downlink", "migration"): AGAIN,
        ("ap2", 1, "downlink", "query"): QUERY,
    }
    assert table["packets"].tolist() == [1] * 7


def test_the_last_intervals_rate_is_over_its_own_length(capture):
    table = table_of(capture).set_index(["server", "interval", "direction", "cause"])
    assert table.loc[("ap1", 0, "uplink", "migration"), "mbps"] == LARGE * 8 / 30 / 1e6
    assert table.loc[("ap1", 1, "uplink", "migration"), "mbps"] == AGAIN * 8 / 10 / 1e6


def test_dilated_time_is_divided_back(capture):
    table = table_of(capture, tdf=2, duration_s=20)
    assert set(table["interval"]) == {0}
    assert table["mbps"].iloc[0] == table["bytes"].iloc[0] * 8 / 20 / 1e6


def test_what_lies_outside_the_run_is_not_counted(capture):
    assert table_of(capture, origin_unix_s=ORIGIN_UNIX_S + 2, duration_s=29.5)[
        "bytes"
    ].tolist() == [
        AGAIN,
        AGAIN,
    ]
    assert table_of(capture, duration_s=0.5).empty


def test_peaks_count_idle_servers_too(capture):
    peak = peaks(table_of(capture, interval_s=1), SERVERS)
    assert peak.loc["ap1", "uplink"] == LARGE * 8 / 1e6
    assert peak.loc["ap3"].tolist() == [0, 0]
    assert share_under(peak, 0.1) == 1 / 3
    assert share_under(peak) == 1


def test_payload_by_flow_tells_repeated_bytes_apart(capture):
    flows = payload_by_flow(server_traffic([capture], SERVERS))
    sent = flows[(flows.server == "ap1") & (flows.direction == "uplink")].iloc[0]
    assert (sent.src, sent.dst, sent.cause) == ("10.0.0.1", "10.0.0.2", "migration")
    assert (sent.packets, sent.payload_bytes, sent.retransmitted_bytes) == (2, 21000, 1000)


def test_retransmissions_are_found_across_batches_and_the_sequence_wrap(tmp_path, monkeypatch):
    monkeypatch.setattr("testbed.analysis.framing.CHUNK_BYTES", 1000)
    start = 2**32 - 1500
    sequence = [(start + offset) % 2**32 for offset in (0, 1000, 2000, 1500, 3000)]
    frames = [
        (i, bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 4000, 7002, 1000, seq)))
        for i, seq in enumerate(sequence)
    ]
    path = write_pcap(tmp_path / "a.pcap", frames, 1)
    flows = payload_by_flow(address_traffic([Capture(path)]))
    assert flows["payload_bytes"].tolist() == [5000, 5000]
    assert flows["retransmitted_bytes"].tolist() == [1000, 1000]
    assert flows["cause"].tolist() == ["upload", "upload"]


def test_a_new_connection_on_the_same_ports_repeats_nothing(tmp_path):
    ends = ("10.0.0.1", "10.0.0.2", 4000, 7002)
    segments = [
        segment(*ends, 0, 5000, "S"),
        segment(*ends, 100, 5001),
        segment(*ends, 0, 9, "S"),
        segment(*ends, 100, 10),
    ]
    frames = [(i, bytes(Ether() / each)) for i, each in enumerate(segments)]
    path = write_pcap(tmp_path / "a.pcap", frames, 1)
    assert payload_by_flow(address_traffic([Capture(path)]))["retransmitted_bytes"].sum() == 0


def test_a_capture_without_tcp_has_no_flows(tmp_path):
    path = write_pcap(tmp_path / "a.pcap", [(0, bytes(60))], 1)
    assert payload_by_flow(address_traffic([Capture(path)])).empty


def test_a_bare_capture_has_its_addresses_as_servers(tmp_path):
    rng = np.random.default_rng(1)
    frames = [
        (0.9 + float(i), bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 1, 2, int(size))))
        for i, size in enumerate(rng.integers(0, 1400, 40))
    ]
    frames.append((40.0, bytes(60)))
    path = write_pcap(tmp_path / "a.pcap", frames, 1, snap=96)
    figures = analyze_capture([path], interval_s=30)
    assert figures["totals"] == {"packets": 41, "bytes": sum(len(frame) for _, frame in frames)}
    assert set(figures["servers"]) == {"10.0.0.1", "10.0.0.2"}
    sent = [row for row in figures["intervals"] if row["direction"] == "uplink"]
    assert {row["server"] for row in sent} == {"10.0.0.1"}
    assert sum(row["bytes"] for row in sent) == figures["totals"]["bytes"] - 60
    assert [row["interval"] for row in sent] == [0, 1]


def test_a_capture_without_packets_has_figures_of_zero(tmp_path):
    figures = analyze_capture([write_pcap(tmp_path / "a.pcap", [], 1)], interval_s=30)
    assert figures["totals"] == {"packets": 0, "bytes": 0}
    assert figures["intervals"] == []


def test_a_capture_of_which_nothing_can_be_read_is_an_error(tmp_path):
    path = write_pcap(tmp_path / "a.pcap", [(0, bytes(60))], 1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CaptureError, match="no packet can be read in 75 bytes"):
        analyze_capture([path], interval_s=30)
