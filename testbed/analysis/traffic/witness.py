"""The switches' own counters beside the captures: two witnesses of the same traffic.

A server's uplink is what its switch's port received, its downlink what that port sent. Open vSwitch
counts what it forwards: an offloaded segment once, with one Ethernet header. So does a capture,
whose own link header is exchanged for Ethernet's here.
"""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from testbed.analysis.captures.headers import ETHERNET_HEADER_BYTES

COLUMNS = ["server", "direction", "captured_bytes", "counted_bytes", "difference_share"]
_CAPTURED_LINK_HEADER_BYTES = 20  # Linux cooked, version 2
_COUNTER = {"uplink": "rx_bytes", "downlink": "tx_bytes"}


def compare_witnesses(
    flows: pd.DataFrame, counters: pd.DataFrame, servers: Collection[str]
) -> pd.DataFrame:
    """Return COLUMNS, a row a server and direction in which anything was counted or captured.

    `servers` are the access points' names. What was counted is the last reading in the run's table
    `counters` less the first, which was made when the captures had begun.
    """
    ports = counters[counters["neighbour"].isin(list(servers))]
    order = ports["time_s"].fillna(-float("inf"))  # the first reading is before the clock's start
    by_server = ports.assign(order=order).sort_values("order", kind="stable").groupby("neighbour")
    counted = by_server[list(_COUNTER.values())].last() - by_server[list(_COUNTER.values())].first()
    counted.columns = list(_COUNTER)
    shown = flows["packets"] * (ETHERNET_HEADER_BYTES - _CAPTURED_LINK_HEADER_BYTES)
    ethernet = flows.assign(bytes=flows["captured_bytes"] + shown)
    captured = ethernet.groupby(["interface", "direction"])["bytes"].sum()
    captured = captured[captured.index.get_level_values("interface").isin(list(servers))]
    both = pd.DataFrame({"captured_bytes": captured, "counted_bytes": counted.stack()}).fillna(0)
    both.index.names = ["server", "direction"]
    table = both[both.sum(axis="columns") > 0].astype("int64").reset_index()
    counted_bytes = table["counted_bytes"]
    differences = table["captured_bytes"] - counted_bytes
    table["difference_share"] = differences / counted_bytes.where(counted_bytes > 0)
    return table[COLUMNS]
