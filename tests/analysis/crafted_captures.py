"""Captures for tests, crafted with scapy and written byte by byte where scapy cannot."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Packet, Raw

ORIGIN_UNIX_S = 1_700_000_000
TIMESTAMPS = [("NOP", None), ("NOP", None), ("Timestamp", (1, 1))]  # 12 bytes, as Linux sends


def segment(
    src: str, dst: str, sport: int, dport: int, payload: int, seq: int = 1, flags: str = "A"
) -> Packet:
    """A TCP segment with timestamps, so 32 bytes of TCP header."""
    tcp = TCP(sport=sport, dport=dport, seq=seq, flags=flags, options=TIMESTAMPS)
    return IP(src=src, dst=dst) / tcp / Raw(bytes(payload))


def datagram(src: str, dst: str, payload: int) -> Packet:
    return IP(src=src, dst=dst) / UDP(sport=5000, dport=5001) / Raw(bytes(payload))


def sll2(packet: Packet, ifindex: int, *, outgoing: bool) -> bytes:
    header = struct.pack(">HHIHBB8x", 0x0800, 0, ifindex, 1, 4 if outgoing else 0, 6)
    return header + bytes(packet)


def write_pcap(
    path: Path,
    frames: Sequence[tuple[float, bytes]],
    link_type: int,
    *,
    order: str = "<",
    nanoseconds: bool = False,
    snap: int = 262144,
) -> Path:
    """Write (seconds after ORIGIN_UNIX_S, frame) pairs as a classic pcap."""
    magic, ticks = (0xA1B23C4D, 10**9) if nanoseconds else (0xA1B2C3D4, 10**6)
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link_type)]
    for time_s, frame in frames:
        whole = int(time_s)
        fraction = round((time_s - whole) * ticks)
        kept = frame[:snap]
        head = (ORIGIN_UNIX_S + whole, fraction, len(kept), len(frame))
        parts += [struct.pack(order + "IIII", *head), kept]
    path.write_bytes(b"".join(parts))
    return path


def backhaul_capture(path: Path) -> Path:
    """A raw capture at switch ports 5 (server ap1) and 6 (ap2), port 9 being nobody's.

    ap1 (10.0.0.1) sends ap2 (10.0.0.2) 20,000 bytes of migration at 1 s in one large segment,
    then repeats its last 1,000 bytes at 31 s; ap2 acknowledges; a client queries ap2 at 32 s.
    """
    first = segment("10.0.0.1", "10.0.0.2", 40000, 7003, 20000, seq=100)
    again = segment("10.0.0.1", "10.0.0.2", 40000, 7003, 1000, seq=19100)
    ack = segment("10.0.0.2", "10.0.0.1", 7003, 40000, 0)
    query = segment("10.1.0.7", "10.0.0.2", 50000, 7001, 100)
    frames = [
        (1.0, sll2(first, 5, outgoing=False)),
        (1.001, sll2(first, 6, outgoing=True)),
        (1.002, sll2(ack, 6, outgoing=False)),
        (1.003, sll2(ack, 5, outgoing=True)),
        (31.0, sll2(again, 5, outgoing=False)),
        (31.001, sll2(again, 6, outgoing=True)),
        (32.0, sll2(query, 6, outgoing=True)),
        (32.0, sll2(query, 9, outgoing=False)),
    ]
    return write_pcap(path, frames, 276, nanoseconds=True, snap=112)
