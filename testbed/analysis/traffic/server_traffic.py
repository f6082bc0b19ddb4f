"""Traffic of the edge servers' backhaul links, from captures: by interval, direction and cause.

Sizes are bytes of Ethernet frames as `PacketBatch.wire_bytes` defines them. A server's *uplink*
is what it sends into the backhaul, its *downlink* what it receives. A frame between two servers
is in the uplink of one and the downlink of the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from testbed.analysis.captures.address_book import AddressBook
from testbed.analysis.captures.capture_file import INBOUND, OUTBOUND, PacketBatch
from testbed.analysis.traffic.causes import CAUSES, cause_codes
from testbed.arrays import IntArray

DIRECTIONS = ("uplink", "downlink")
KEYS = ["server", "interval", "direction", "cause"]
_SUMS = ["bytes", "packets"]
_DENSE = 1 << 20  # numbers of so many groups are counted in an array, more are sorted
_MAX_PARTS = 64


@dataclass(frozen=True)
class Traffic:
    """The servers' sides of some captured packets, as columns of shape (n,)."""

    server: NDArray[np.object_]  # names, (n_servers,)
    server_code: IntArray  # index into server
    direction_code: IntArray  # index into DIRECTIONS
    packets: PacketBatch
    row: IntArray  # which of the packets


def server_sides(
    packets: PacketBatch, names: NDArray[np.object_], servers: Collection[str]
) -> Traffic:
    """Return the traffic of a run's capture, whose interfaces are named after `servers`."""
    known = np.isin(names, list(servers))[packets.interface] & (packets.direction > 0)
    row = np.flatnonzero(known)
    direction = np.where(packets.direction[row] == OUTBOUND, 0, 1)
    return Traffic(names, packets.interface[row], direction, packets, row)


def address_sides(packets: PacketBatch, names: NDArray[np.object_], book: AddressBook) -> Traffic:
    """Return the traffic of any capture; its IP addresses count as servers.

    Where it is of several named interfaces, a frame may have been captured at both its ends. There
    it counts in its sender's uplink where it was outbound, and in its receiver's downlink where it
    was inbound.
    """
    is_ip = (packets.src > 0) | (packets.dst > 0)
    at_ends = len(set(names.tolist()) - {""}) > 1
    sent, received = (
        np.flatnonzero(is_ip & ~(at_ends & (packets.direction == other)))
        for other in (INBOUND, OUTBOUND)
    )
    code, addresses = pd.factorize(np.concatenate([packets.src[sent], packets.dst[received]]))
    texts = np.array([book.text(each) for each in addresses.tolist()], dtype=object)
    direction = np.repeat([0, 1], [len(sent), len(received)])
    return Traffic(texts, code, direction, packets, np.concatenate([sent, received]))


class BackhaulTally:
    """Counts bytes and packets by server, interval, direction and cause, batch by batch.

    Capture time t is emulated time (t - `origin_ns`) / `tdf`; `interval_s` and `duration_s` are
    emulated seconds. With a duration packets outside [0, duration) are not the run's and are left
    out; without, intervals may be negative.
    """

    def __init__(
        self,
        *,
        origin_ns: int,
        interval_s: float,
        tdf: float = 1.0,
        duration_s: float | None = None,
    ) -> None:
        self._origin_ns = origin_ns
        self._interval_s = interval_s
        self._tdf = tdf
        self._duration_s = duration_s
        self._parts: list[pd.DataFrame] = []

    def add(self, traffic: Traffic) -> None:
        """Count a batch."""
        packets, row = traffic.packets, traffic.row
        time_s = (packets.time_ns[row] - self._origin_ns) / 1e9 / self._tdf
        interval = np.floor_divide(time_s, self._interval_s).astype(np.int64)
        server, direction = traffic.server_code, traffic.direction_code
        if self._duration_s is not None:
            inside = (time_s >= 0) & (time_s < self._duration_s)
            row, interval, server, direction = (
                column[inside] for column in (row, interval, server, direction)
            )
        if not len(row):
            return
        cause = cause_codes(packets.src_port[row], packets.dst_port[row])
        first = interval.min()
        shape = (len(traffic.server), int(interval.max() - first) + 1, len(DIRECTIONS), len(CAUSES))
        keys = (server, interval - first, direction, cause)
        found, sums = _sums(keys, shape, packets.wire_bytes()[row])
        columns = {
            "server": traffic.server[found[0]],
            "interval": found[1] + first,
            "direction": np.array(DIRECTIONS, dtype=object)[found[2]],
            "cause": np.array(CAUSES, dtype=object)[found[3]],
            "bytes": sums[0],
            "packets": sums[1],
        }
        self._parts.append(pd.DataFrame(columns))
        if len(self._parts) >= _MAX_PARTS:
            self._parts = [self._merged()]

    def table(self) -> pd.DataFrame:
        """Return KEYS, bytes, mbps and packets; combinations without a packet have no row.

        Rates are of emulated time; a last interval that the duration cuts has the rate over its
        real length.
        """
        table = self._merged()
        length_s: float | pd.Series = self._interval_s
        if self._duration_s is not None:
            rest_s = self._duration_s - table["interval"] * self._interval_s
            length_s = np.minimum(self._interval_s, rest_s)
        table.insert(5, "mbps", table["bytes"] * 8 / length_s / 1e6)
        return table

    def _merged(self) -> pd.DataFrame:
        if not self._parts:
            return pd.DataFrame({name: [] for name in [*KEYS, *_SUMS]}).astype(
                {"interval": "int64", **dict.fromkeys(_SUMS, "int64")}
            )
        return pd.concat(self._parts).groupby(KEYS, as_index=False)[_SUMS].sum()


def _sums(
    keys: tuple[IntArray, ...], shape: tuple[int, ...], sizes: IntArray
) -> tuple[tuple[IntArray, ...], tuple[IntArray, IntArray]]:
    """Return the combinations of the keys that there are, with the sum and number of each."""
    groups = int(np.prod([float(each) for each in shape]))
    if groups <= max(_DENSE, len(sizes)):
        code = np.ravel_multi_index(keys, shape)
        numbers = np.bincount(code, minlength=groups)
        present = np.flatnonzero(numbers)
        totals = np.bincount(code, sizes, minlength=groups)[present]
        found = np.unravel_index(present, shape)
        return found, (totals.astype(np.int64), numbers[present])
    frame = pd.DataFrame(dict(enumerate(keys))).assign(size=sizes)
    grouped = frame.groupby(list(range(len(keys))))["size"].agg(["sum", "size"]).reset_index()
    columns = tuple(grouped[number].to_numpy() for number in range(len(keys)))
    return columns, (grouped["sum"].to_numpy(), grouped["size"].to_numpy())
