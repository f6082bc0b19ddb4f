"""Backhaul traffic from captures."""

from __future__ import annotations

import pytest

from testbed.analysis.captures.capture_file import CaptureFile
from testbed.analysis.captures.pcapng_writer import to_pcapng
from testbed.analysis.traffic.crowding import peaks, share_under
from testbed.analysis.traffic.server_traffic import BackhaulTally, server_sides
from tests.analysis.crafted_captures import ORIGIN_UNIX_S, backhaul_capture

HEADER = 14 + 20 + 32
SERVERS = ["ap1", "ap2", "ap3"]
# 20,000 bytes of payload become 14 frames of at most 1448
LARGE, AGAIN, ACK, QUERY = 20000 + 14 * HEADER, 1000 + HEADER, HEADER, 100 + HEADER


@pytest.fixture
def capture(tmp_path):
    raw = backhaul_capture(tmp_path / "raw.pcap")
    to_pcapng({raw: {5: "ap1", 6: "ap2"}}, tmp_path / "a.pcapng")
    return CaptureFile(tmp_path / "a.pcapng")


def table_of(capture, **changes):
    settings = {"origin_ns": ORIGIN_UNIX_S * 10**9, "tdf": 1, "interval_s": 30, "duration_s": 40}
    tally = BackhaulTally(**{**settings, **changes})
    for packets in capture:
        tally.add(server_sides(packets, capture.names(), SERVERS))
    return tally.table()


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
    later = table_of(capture, origin_ns=(ORIGIN_UNIX_S + 2) * 10**9, duration_s=29.5)
    assert later["bytes"].tolist() == [AGAIN, AGAIN]
    assert table_of(capture, duration_s=0.5).empty


def test_peaks_count_idle_servers_too(capture):
    peak = peaks(table_of(capture, interval_s=1), SERVERS)
    assert peak.loc["ap1", "uplink"] == LARGE * 8 / 1e6
    assert peak.loc["ap3"].tolist() == [0, 0]
    assert share_under(peak, 0.1) == 1 / 3
    assert share_under(peak) == 1


def test_counting_many_groups_gives_what_counting_few_does(capture, monkeypatch):
    expected = table_of(capture)
    monkeypatch.setattr("testbed.analysis.traffic.server_traffic._DENSE", 0)
    monkeypatch.setattr("testbed.analysis.traffic.server_traffic._MAX_PARTS", 1)
    monkeypatch.setattr("testbed.analysis.captures.record_file.CHUNK_BYTES", 300)
    assert table_of(capture).equals(expected)
