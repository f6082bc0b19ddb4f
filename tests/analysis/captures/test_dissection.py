"""The testbed's protocol in scapy and, by a Lua dissector, in tshark."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from testbed.analysis.captures.dissection import Frame
from testbed.analysis.captures.wireshark import DISSECTOR, install_dissector
from testbed.errors import ProtocolError
from testbed.protocol.framing import frame_head
from testbed.protocol.messages import (
    AnyMessage,
    Holding,
    LayerPiece,
    LayerRef,
    MigrationOffer,
    Query,
    Stored,
)
from tests.analysis.crafted_captures import TIMESTAMPS, write_pcap

LAYERS = tuple(LayerRef(n, f"{n:064x}", 1000 * n) for n in (3, 300))
OFFER = MigrationOffer("c7", "ap1", LAYERS, 90.0)
QUERY = Query("c7", 12, 0, 5, (-1,), (5,), (), 0, False)


def frame(message: AnyMessage, body: bytes = b"") -> bytes:
    return frame_head(message, len(body)) + body


def test_scapy_dissects_frames_one_behind_the_other():
    two = frame(OFFER) + frame(LayerPiece(LAYERS[0].digest, 0), bytes(50))
    packet = IP(bytes(IP() / TCP(sport=40000, dport=7003) / Raw(two)))
    first = packet[Frame]
    assert first.message() == OFFER
    second = first.payload
    assert isinstance(second, Frame)
    assert second.message() == LayerPiece(LAYERS[0].digest, 0)
    assert second.body_bytes == 50
    assert bytes(packet[TCP].payload) == two


def test_scapy_crafts_a_frame():
    packet = IP() / TCP(sport=40000, dport=7001) / Frame.of(QUERY, b"body")
    crafted = IP(bytes(packet))[Frame]
    assert crafted.message() == QUERY
    assert bytes(crafted) == frame(QUERY, b"body")
    assert "PerDNN query, 4 bytes" in packet.summary()


def test_scapy_leaves_what_is_no_frame_alone():
    packet = IP(bytes(IP() / TCP(dport=7003) / Raw(b"in the middle of a body")))
    assert Frame not in packet
    cut = Frame(frame(OFFER)[:60])
    with pytest.raises(ProtocolError, match="header bytes are in this packet"):
        cut.message()


class Stream:
    """Segments of one connection, client to server and back."""

    def __init__(self, sport: int, dport: int) -> None:
        self._ends = {"->": (sport, dport), "<-": (dport, sport)}
        self._sequence = {"->": 1000, "<-": 2**32 - 40}  # wraps round
        self.frames: list[tuple[float, bytes]] = []

    def send(self, way: str, data: bytes, *, repeat: bool = False) -> None:
        sport, dport = self._ends[way]
        sequence = self._sequence[way] - (len(data) if repeat else 0)
        src, dst = ("10.0.0.1", "10.0.0.2") if way == "->" else ("10.0.0.2", "10.0.0.1")
        tcp = TCP(sport=sport, dport=dport, seq=sequence % 2**32, flags="PA", options=TIMESTAMPS)
        packet: Packet = Ether() / IP(src=src, dst=dst) / tcp / Raw(data)
        self.frames.append((len(self.frames) / 10, bytes(packet)))
        if not repeat:
            self._sequence[way] += len(data)


def tshark(path: Path, *fields: str, two_pass: bool = False) -> list[list[str]]:
    """Return each packet's fields; several of a kind are joined by commas.

    Dissectors are those of a home in the file's folder: none unless a test has installed one.
    """
    command = ["tshark", "-n", "-X", f"lua_script:{DISSECTOR}", "-r", str(path), "-T", "fields"]
    command += ["-2"] if two_pass else []
    for field in fields:
        command += ["-e", field]
    home = os.environ | {"HOME": str(path.parent)}
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=True, env=home
    )
    assert "Lua:" not in result.stderr and "lua" not in result.stderr.lower(), result.stderr
    return [line.split("\t") for line in result.stdout.splitlines()]


@pytest.fixture
def migration() -> list[tuple[float, bytes]]:
    stream = Stream(40000, 7003)
    stream.send("->", frame(OFFER))
    stream.send("<-", frame(Holding((0, 0))))
    piece = frame(LayerPiece(LAYERS[0].digest, 0), bytes(3000))
    stream.send("->", piece[:1400])
    stream.send("->", piece[1400:2800])
    # The rest of this one, and another behind it
    stream.send("->", piece[2800:] + frame(LayerPiece(LAYERS[1].digest, 2**20), bytes(500)))
    stream.send("<-", frame(Stored(LAYERS[0].digest)) + frame(Stored(LAYERS[1].digest)))
    return stream.frames


@pytest.mark.parametrize("two_pass", [False, True])
def test_tshark_shows_messages_clients_layers_and_bytes(tmp_path, migration, two_pass):
    path = write_pcap(tmp_path / "a.pcap", migration, 1)
    names = ("type", "client", "layers", "layer", "bytes", "body_part")
    rows = tshark(path, *(f"perdnn.{name}" for name in names), two_pass=two_pass)
    assert rows == [
        ["offer", "c7", "2", "3,300", "303000", ""],
        ["holding", "c7", "", "", "", ""],
        ["layer", "c7", "", "3", "3000", ""],
        ["", "", "", "", "", "1400"],
        ["layer", "c7", "", "300", "500", str(len(frame(LayerPiece(LAYERS[0].digest, 0))) + 200)],
        ["stored,stored", "c7,c7", "", "3,300", "", ""],
    ]


def test_tshark_takes_an_installed_dissector_that_is_named_besides(
    tmp_path, migration, monkeypatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_USER", raising=False)
    install_dissector()
    path = write_pcap(tmp_path / "a.pcap", migration, 1)
    assert tshark(path, "perdnn.type")[0] == ["offer"]


def test_tshark_shows_what_a_cut_capture_has(tmp_path, migration):
    """With the testbed's own capture length: the headers are cut, their beginnings are shown."""
    path = write_pcap(tmp_path / "a.pcap", migration, 1, snap=14 + 52 + 60)
    rows = tshark(path, "perdnn.type", "perdnn.client", "perdnn.layers", "_ws.expert.message")
    assert [row[0] for row in rows] == ["offer", "holding", "layer", "", "", "stored"]
    assert rows[0][1:3] == ["c7", "2"]
    assert "not captured whole" in rows[0][3]


def test_tshark_is_not_misled_by_repetitions_and_beginnings_in_the_middle(tmp_path, migration):
    stream = Stream(40001, 7001)
    query = frame(QUERY, bytes(4000))
    stream.send("->", query[1400:])  # the capture began within it
    stream.send("->", frame(QUERY, bytes(40)))
    stream.send("->", frame(QUERY, bytes(40)), repeat=True)
    stream.send("->", frame(QUERY))
    path = write_pcap(tmp_path / "a.pcap", stream.frames, 1)
    rows = tshark(path, "perdnn.type", "perdnn.query", "perdnn.bytes")
    assert rows == [
        ["", "", ""],
        ["query", "12", "40"],
        ["", "", ""],  # Wireshark shows a repeated segment once
        ["query", "12", ""],
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"PDN1" + bytes(12) + b"\x81",
        b"PDN1" + b"\xff" * 60,
        b"PDN1" + (50).to_bytes(4, "big") + bytes(8) + b"\x91" * 50,
        b"PDN1" + (6).to_bytes(4, "big") + bytes(8) + b"\xdf\xff\xff\xff\xff\xa1",
        b"PDN1" + (9).to_bytes(4, "big") + bytes(8) + b"\x81\xa6layers\xdd",
        b"PDN1",
        b"\x00",
    ],
)
def test_tshark_survives_what_is_no_message(tmp_path, data):
    stream = Stream(40000, 7003)
    stream.send("->", data)
    stream.send("->", frame(OFFER))
    path = write_pcap(tmp_path / "a.pcap", stream.frames, 1)
    rows = tshark(path, "perdnn.type", "_ws.lua.error")
    assert [row[1] for row in rows] == ["", ""]
