"""TCP payload by flow, with what was sent more than once told apart."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from testbed.analysis.backhaul import CAUSE_OF_PORT, CAUSES, DIRECTIONS, Traffic, cause_codes
from testbed.analysis.framing import Int64s
from testbed.analysis.headers import TCP

FLOW = ["server", "direction", "src", "dst", "cause"]
_CONNECTION = ["server", "direction", "src", "dst", "src_port", "dst_port"]
_VALUES = ["packets", "payload_bytes", "retransmitted_bytes"]


def payload_by_flow(
    traffic: Iterable[Traffic], cause_of_port: Mapping[int, str] = CAUSE_OF_PORT
) -> pd.DataFrame:
    """Return packets, payload and retransmitted bytes by server, direction, src, dst and cause.

    `payload_bytes` counts every TCP payload byte at that server's interface, repeated ones
    included, so an application's bytes are payload - retransmitted - protocol frame headers. A
    byte counts as retransmitted when its sequence number was passed before on the same
    connection. What travels between two servers shows at both; sum one direction only.
    """
    streams: dict[tuple[object, ...], _Stream] = {}
    rows = []
    for each in traffic:
        frame = _segments(each, cause_of_port)
        for key, positions in frame.groupby(_CONNECTION, sort=False).indices.items():
            segments = frame.iloc[positions]
            stream = streams.setdefault(key, _Stream())
            repeated = stream.repeated_bytes(
                segments["sequence"].to_numpy(),
                segments["payload_bytes"].to_numpy(),
                segments["syn"].to_numpy(),
            )
            cause = segments["cause"].iloc[0]
            payload = segments["payload_bytes"].sum()
            rows.append((*key[:4], cause, len(segments), payload, repeated))
    table = pd.DataFrame(rows, columns=[*FLOW, *_VALUES]).groupby(FLOW, as_index=False).sum()
    for end in ("src", "dst"):
        table[end] = [str(ipaddress.IPv4Address(int(number))) for number in table[end]]
    return table.astype(dict.fromkeys(_VALUES, "int64"))


def _segments(traffic: Traffic, cause_of_port: Mapping[int, str]) -> pd.DataFrame:
    """Return the TCP packets of a batch that carry payload or open a connection."""
    packets = traffic.packets
    carries = (packets.protocol == TCP) & ((packets.payload_bytes > 0) | packets.syn)
    kept = carries[traffic.row]
    row = traffic.row[kept]
    cause = np.array(CAUSES, dtype=object)[cause_codes(packets, cause_of_port)]
    return pd.DataFrame(
        {
            "server": traffic.server[traffic.server_code[kept]],
            "direction": np.array(DIRECTIONS, dtype=object)[traffic.direction_code[kept]],
            "src": packets.src[row],
            "dst": packets.dst[row],
            "src_port": packets.src_port[row],
            "dst_port": packets.dst_port[row],
            "cause": cause[row],
            "sequence": packets.sequence[row],
            "payload_bytes": packets.payload_bytes[row],
            "syn": packets.syn[row],
        }
    )


class _Stream:
    """One direction of a connection: how far its sequence numbers have come, across batches."""

    def __init__(self) -> None:
        self._restart()

    def _restart(self) -> None:
        self._last: int | None = None  # sequence number of the latest segment, modulo 2**32
        self._position = 0  # the same without wrapping round, from the first segment seen
        self._highest = 0  # end of the payload seen so far

    def repeated_bytes(self, sequence: Int64s, payload: Int64s, syn: np.ndarray) -> int:
        """Return how many of the payload bytes had been sent before."""
        repeated = 0
        # A SYN starts a new connection on the same ports.
        for part in np.split(np.arange(len(sequence)), np.flatnonzero(syn)):
            if len(part) and syn[part[0]]:
                self._restart()
            data = part[payload[part] > 0]
            if len(data):
                repeated += self._advance(sequence[data], payload[data])
        return repeated

    def _advance(self, sequence: Int64s, payload: Int64s) -> int:
        last = int(sequence[0]) if self._last is None else self._last
        steps = np.diff(sequence, prepend=last)
        # The shorter way round the 32-bit circle
        position = self._position + np.cumsum((steps + 2**31) % 2**32 - 2**31)
        end = np.maximum.accumulate(np.concatenate([[self._highest], position + payload]))
        self._last = int(sequence[-1])
        self._position, self._highest = int(position[-1]), int(end[-1])
        return int(np.clip(end[:-1] - position, 0, payload).sum())
