"""A capture of no run: addresses without names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scapy.layers.l2 import ARP, Ether

from tests.analysis.crafted_captures import datagram, segment, write_pcap


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
