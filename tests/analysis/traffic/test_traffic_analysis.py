"""Captures analysed in one pass: servers, intervals, flows."""

from __future__ import annotations

import json
import time

import numpy as np
import pandas as pd
from scapy.layers.l2 import Ether

from testbed.analysis.captures.pcapng_writer import to_pcapng
from testbed.analysis.traffic.traffic_analysis import analyze_capture
from tests.analysis.crafted_captures import (
    ORIGIN_UNIX_S,
    backhaul_capture,
    segment,
    sll2,
    write_pcap,
)
from tests.analysis.traffic.bare import bare_capture


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
    monkeypatch.setattr("testbed.analysis.captures.record_file.CHUNK_BYTES", 1000)
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
