"""Migrations reconciled: what the applications say they sent, and what the captures hold.

For each migration, with the terms that `docs/run-folder.md` describes:

    bytes + frame_bytes - unsent_bytes = payload_bytes - retransmitted_bytes + missing_bytes

The left side is the sender's own count (layers, and the protocol's frames around them, less what
its kernel had not sent when the transfer was cut); the right side comes from the capture of the
sender's uplink alone. `difference_bytes` is right less left, and 0 where all is explained.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from testbed.protocol.messages import PORTS

_TRANSFER = ["client", "source", "destination", "started_s", "source_port"]
_SAID = ["bytes", "frame_bytes", "unsent_bytes"]
_CAPTURED = ["payload_bytes", "retransmitted_bytes", "missing_bytes", "wire_bytes"]
_ENDS = ["source", "source_port", "destination"]
_KEY_TYPES: dict[str, Any] = {"source": object, "destination": object, "source_port": "int64"}
_FOUND = [*_CAPTURED, "header_bytes"]
COLUMNS = [*_TRANSFER, *_SAID, *_FOUND, "captured", "difference_bytes"]


def reconcile(
    transfers: pd.DataFrame, flows: pd.DataFrame, server_at: Mapping[str, str]
) -> pd.DataFrame:
    """Return COLUMNS, a row a migration, in the order of `transfers`, the run's table.

    The captures' flows have the servers' names as interfaces; `server_at` has these by address.
    """
    migrations = transfers.loc[transfers["cause"] == "migration", [*_TRANSFER, *_SAID]]
    found = _nearest(migrations, _sent(flows, server_at))
    table = migrations.reset_index(drop=True).join(found)
    table["captured"] = table["payload_bytes"].notna()
    table[_FOUND] = table[_FOUND].fillna(0).astype("int64")
    sent_bytes = table["bytes"] + table["frame_bytes"] - table["unsent_bytes"]
    seen = table["payload_bytes"] - table["retransmitted_bytes"] + table["missing_bytes"]
    table["difference_bytes"] = seen - sent_bytes
    return table[COLUMNS]


def _sent(flows: pd.DataFrame, server_at: Mapping[str, str]) -> pd.DataFrame:
    """Return the migrations' flows at their senders, with the names of both ends."""
    chosen = (flows["direction"] == "uplink") & (flows["dst_port"] == PORTS["migration"])
    sent = flows[chosen].rename(columns={"src_port": "source_port", "bytes": "wire_bytes"})
    sent = sent.assign(
        source=sent["src"].map(server_at),
        destination=sent["dst"].map(server_at),
        header_bytes=sent["wire_bytes"] - sent["payload_bytes"],
        flow_s=sent["started_s"],
    )
    return sent[sent["interface"] == sent["source"]]


def _nearest(migrations: pd.DataFrame, sent: pd.DataFrame) -> pd.DataFrame:
    """Return each migration's flow: of those with its ends the one that began nearest in time.

    Ports come round again in long runs, so that the ends alone do not tell.
    """
    wanted = migrations[[*_ENDS, "started_s"]].reset_index(drop=True)
    wanted["row"] = wanted.index
    sent = sent.astype(_KEY_TYPES | {"flow_s": "float64"} | dict.fromkeys(_FOUND, "float64"))
    wanted = wanted.astype(_KEY_TYPES | {"started_s": "float64"})
    merged = pd.merge_asof(
        wanted.sort_values("started_s"),
        sent[[*_ENDS, "flow_s", *_FOUND]].sort_values("flow_s"),
        left_on="started_s",
        right_on="flow_s",
        by=_ENDS,
        direction="nearest",
    )
    return merged.set_index("row")[_FOUND].sort_index()
