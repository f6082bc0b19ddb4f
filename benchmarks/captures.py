"""How fast captures are analysed: `testbed analyze` beside tshark and scapy, on the same file.

    .venv/bin/python benchmarks/captures.py
    .venv/bin/python benchmarks/captures.py --size-gb 0.1 --snap 112

Writes a capture of TCP between servers, transfers of 1448-byte segments and their acknowledgements,
and reads it with each in turn: `testbed analyze` (traffic by server, interval and cause, flows with
retransmissions), `tshark -q -z io,stat` (packets and bytes by interval) and a loop over scapy's
PcapReader that counts packets and bytes. Each is a process of its own, so that starting counts, and
its peak memory is told. All three must agree on packets and bytes. With `--snap` packets are cut as
the testbed's own captures cut them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.reporting import parser
from testbed.terminal import print_table

SERVERS = 40
SEGMENT_BYTES = 1448
ACK_EVERY = 2
RATE_BPS = 1e9
_HEADERS = 14 + 20 + 32
_START_UNIX_S = 1_700_000_000
_BATCH = 1 << 14  # packets written at once, of each kind
_SCAPY = """
import sys
from scapy.all import PcapReader
packets = size = 0
with PcapReader(sys.argv[1]) as reader:
    for packet in reader:
        packets += 1
        size += packet.wirelen
print(packets, size)
"""


@dataclass(frozen=True)
class Reading:
    """What one reader took, and what it counted."""

    reader: str
    seconds: float
    peak_mb: float
    packets: int
    size_bytes: int


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--size-gb", type=float, default=1.0, help="(default: %(default)s)")
    made.add_argument("--snap", type=int, default=65535, help="bytes kept (default: all)")
    made.add_argument("--skip-scapy", action="store_true", help="it takes minutes")
    given = made.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "capture.pcap")
        packets = write_capture(path, given.size_gb * 1e9, given.snap)
        size_gb = path.stat().st_size / 1e9
        sys.stderr.write(f"{packets:,} packets, {size_gb:.2f} GB\n")
        readings = [testbed(path), tshark(path)]
        if not given.skip_scapy:
            readings.append(scapy(path))
    assert len({(each.packets, each.size_bytes) for each in readings}) == 1, readings
    own = readings[0].seconds
    print_table(
        ("reader", "s", "MB/s", "packets/s", "times the first", "peak memory, MB"),
        [
            (
                each.reader,
                each.seconds,
                size_gb * 1e3 / each.seconds,
                int(each.packets / each.seconds),
                each.seconds / own,
                each.peak_mb,
            )
            for each in readings
        ],
        title=f"{readings[0].packets:,} packets, {size_gb:.2f} GB",
    )
    return 0


def write_capture(path: Path, size_bytes: float, snap: int) -> int:
    """Write transfers between servers, one after the other; return the number of packets."""
    rng = np.random.default_rng(1)
    kept = min(snap, _HEADERS + SEGMENT_BYTES)
    pair = ACK_EVERY * (16 + kept) + 16 + min(snap, _HEADERS)
    rounds = int(size_bytes / pair)
    body = rng.integers(0, 256, SEGMENT_BYTES, np.uint8)
    written = 0
    with path.open("wb") as file:
        head = np.array([0xA1B2C3D4, 0x00040002, 0, 0, snap, 1], "<u4")
        file.write(head.tobytes())
        while written < rounds:
            count = min(_BATCH, rounds - written)
            file.write(_rounds(written, count, kept, body).tobytes())
            written += count
    return rounds * (ACK_EVERY + 1)


def _rounds(first: int, count: int, kept: int, body: np.ndarray) -> np.ndarray:
    """Return so many rounds of segments and an acknowledgement as bytes: (count, round's bytes)."""
    number = first + np.arange(count)
    transfer = number // 4096  # rounds: some 12 MB each
    source, destination = transfer % SERVERS, (transfer * 7 + 1) % SERVERS
    destination = np.where(destination == source, (source + 1) % SERVERS, destination)
    port = 32768 + transfer % 28000
    sequence = (number % 4096) * ACK_EVERY * SEGMENT_BYTES
    parts = []
    for index in range(ACK_EVERY):
        at = (number * (ACK_EVERY + 1) + index) * (_HEADERS + SEGMENT_BYTES) * 8 / RATE_BPS
        own = sequence + index * SEGMENT_BYTES
        parts.append(_packets(at, (source, port), (destination, 7003), own, kept, body))
    at = (number * (ACK_EVERY + 1) + ACK_EVERY) * (_HEADERS + SEGMENT_BYTES) * 8 / RATE_BPS
    parts.append(_packets(at, (destination, 7003), (source, port), 1 + 0 * number, kept, body[:0]))
    return np.concatenate(parts, axis=1)


def _packets(
    time_s: np.ndarray,
    src: tuple[np.ndarray, np.ndarray | int],
    dst: tuple[np.ndarray, np.ndarray | int],
    sequence: np.ndarray,
    kept: int,
    body: np.ndarray,
) -> np.ndarray:
    """Return records with Ethernet, IPv4 and TCP headers: uint8, (n, bytes of a record)."""
    original = _HEADERS + len(body)
    captured = min(kept, original)
    out = np.zeros((len(time_s), 16 + original), np.uint8)
    for at, value in (
        (0, _START_UNIX_S + time_s.astype(np.int64)),
        (4, (time_s % 1 * 1e6).astype(np.int64)),
        (8, captured),
        (12, original),
    ):
        _put(out, at, value, "<u4")
    frame = 16
    out[:, frame + 12 : frame + 14] = (8, 0)
    ip, tcp = frame + 14, frame + 34
    out[:, ip] = 0x45
    out[:, ip + 8 : ip + 10] = (64, 6)
    _put(out, ip + 2, original - 14, ">u2")
    for at, (node, port), port_at in ((ip + 12, src, tcp), (ip + 16, dst, tcp + 2)):
        _put(out, at, 0x0A000001 + node, ">u4")
        _put(out, port_at, port, ">u2")
    _put(out, tcp + 4, sequence, ">u4")
    out[:, tcp + 12 : tcp + 14] = (8 << 4, 0x10)
    _put(out, tcp + 14, 512, ">u2")
    out[:, tcp + 20 : tcp + 24] = (1, 1, 8, 10)
    out[:, frame + _HEADERS :] = body
    return out[:, : 16 + captured]


def _put(out: np.ndarray, at: int, value: np.ndarray | int, dtype: str) -> None:
    column = np.broadcast_to(np.asarray(value, dtype), len(out))
    width = np.dtype(dtype).itemsize
    out[:, at : at + width] = column.copy().view(np.uint8).reshape(len(out), width)


def testbed(path: Path) -> Reading:
    command = [sys.executable, "-m", "testbed.cli", "analyze", str(path), "--json"]
    said, seconds, peak_mb = timed(command)
    totals = json.loads(said)["totals"]
    return Reading("testbed analyze", seconds, peak_mb, totals["packets"], totals["bytes"])


def tshark(path: Path) -> Reading:
    command = ["tshark", "-n", "-q", "-z", "io,stat,30", "-r", str(path)]
    said, seconds, peak_mb = timed(command)
    rows = re.findall(r"<>\s+\S+\s*\|\s*(\d+)\s*\|\s*(\d+)", said)
    counts = np.array(rows, np.int64).sum(axis=0).tolist()
    return Reading("tshark -q -z io,stat", seconds, peak_mb, *counts)


def scapy(path: Path) -> Reading:
    said, seconds, peak_mb = timed([sys.executable, "-c", _SCAPY, str(path)])
    packets, size_bytes = map(int, said.split())
    return Reading("scapy PcapReader", seconds, peak_mb, packets, size_bytes)


def timed(command: list[str]) -> tuple[str, float, float]:
    """Run a command; return what it printed, its wall seconds and peak resident memory in MB."""
    begun = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
        said.seek(0)
        return said.read(), seconds, usage.ru_maxrss / 1e3


if __name__ == "__main__":
    sys.exit(main())
