"""Rewriting a run's raw capture as a pcapng with one named interface a server."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from scapy.layers.l2 import Ether

from testbed.analysis.captures.capture_file import INBOUND, OUTBOUND, CaptureFile
from testbed.analysis.captures.pcapng_writer import to_pcapng
from testbed.errors import CaptureError
from tests.analysis.crafted_captures import (
    ORIGIN_UNIX_S,
    backhaul_capture,
    segment,
    sll2,
    write_pcap,
)

SERVERS = {6: "ap2", 5: "ap1"}


def test_keeps_the_servers_packets_with_names_and_their_own_directions(tmp_path):
    raw = backhaul_capture(tmp_path / "raw.pcap")
    kept = to_pcapng({raw: SERVERS}, tmp_path / "out.pcapng")
    capture = CaptureFile(tmp_path / "out.pcapng")
    (packets,) = capture
    assert kept == len(packets) == 7
    names = capture.names()[packets.interface].tolist()
    assert names == ["ap1", "ap2", "ap2", "ap1", "ap1", "ap2", "ap2"]
    out, into = OUTBOUND, INBOUND
    assert packets.direction.tolist() == [out, into, out, into, out, into, into]
    assert packets.original_bytes[0] == 20 + 52 + 20000
    assert packets.time_ns[1] == ORIGIN_UNIX_S * 10**9 + 1_001_000_000


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_it_and_shows_the_names(tmp_path):
    raw = backhaul_capture(tmp_path / "raw.pcap")
    to_pcapng({raw: SERVERS}, tmp_path / "out.pcapng")
    fields = ("frame.interface_name", "frame.packet_flags_direction", "frame.len", "tcp.dstport")
    command = ["tshark", "-r", str(tmp_path / "out.pcapng"), "-T", "fields"]
    for name in fields:
        command += ["-e", name]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in shown.stdout.splitlines()]
    assert "cut short" not in shown.stderr
    assert [row[0] for row in rows] == ["ap1", "ap2", "ap2", "ap1", "ap1", "ap2", "ap2"]
    assert [int(row[1], 16) for row in rows] == [2, 1, 2, 1, 2, 1, 1]
    assert rows[0][2:] == ["20072", "7003"]


def test_other_link_types_are_refused(tmp_path):
    frame = bytes(Ether() / segment("10.0.0.1", "10.0.0.2", 1, 2, 3))
    raw = write_pcap(tmp_path / "raw.pcap", [(0, frame)], 1)
    with pytest.raises(CaptureError, match="LINUX_SLL2"):
        to_pcapng({raw: SERVERS}, tmp_path / "out.pcapng")


def test_captures_of_several_namespaces_become_one_in_the_order_of_time(tmp_path):
    def packet(number: int) -> bytes:
        return sll2(segment("10.0.0.1", "10.0.0.2", 1, 7003, 100 + number), 5, outgoing=False)

    # The same interface numbers in both; the packets of one lie between those of the other
    times = {"a": (0.0, 0.2, 0.4), "b": (0.1, 0.3, 0.5), "none": ()}
    raws = {
        write_pcap(tmp_path / f"{name}.pcap", [(t, packet(round(10 * t))) for t in when], 276): {
            5: f"ap-{name}"
        }
        for name, when in times.items()
    }
    assert to_pcapng(raws, tmp_path / "out.pcapng") == 6
    capture = CaptureFile(tmp_path / "out.pcapng")
    (packets,) = capture
    names = capture.names()[packets.interface].tolist()
    assert names == ["ap-a", "ap-b"] * 3
    assert (np.diff(packets.time_ns) > 0).all()
    assert packets.payload_bytes.tolist() == [100, 101, 102, 103, 104, 105]


def test_editcap_takes_it(tmp_path):
    raw = backhaul_capture(tmp_path / "raw.pcap")
    out = tmp_path / "a.pcapng"
    to_pcapng({raw: {5: "ap1", 6: "ap2"}}, out, {"ap1": "10.0.0.1"}, snap_bytes=112)
    for kind, name in (("pcapng", "b.pcapng"), ("pcap", "b.pcap")):
        copy = tmp_path / name
        subprocess.run(["editcap", "-F", kind, out, copy], check=True, timeout=60)
        assert sum(len(packets) for packets in CaptureFile(copy)) == 7
