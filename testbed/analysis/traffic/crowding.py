"""Which edge servers' backhaul links are crowded (sections IV.B.4 and IV.B.5)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from testbed.analysis.traffic.server_traffic import DIRECTIONS
from testbed.errors import ConfigurationError
from testbed.runs.folder import RunFolder
from testbed.runs.records import read_table

CROWDED_MBPS = 100.0  # section IV.B.4: "less than 100 Mbps"
FULL_SHARE = 0.9  # of a link's rate over an interval: the link was full
CROWDED_SHARE = 0.07  # section IV.B.5: 5 to 7 % of the servers, and 24 of KAIST's 357


def peaks(table: pd.DataFrame, servers: Collection[str]) -> pd.DataFrame:
    """Return each server's highest rate over its intervals, Mbit/s: columns uplink, downlink."""
    rates = table.groupby(["server", "direction", "interval"])["mbps"].sum()
    highest = rates.groupby(["server", "direction"]).max().unstack("direction")
    return highest.reindex(index=list(servers), columns=list(DIRECTIONS)).fillna(0.0)


def share_under(peak: pd.DataFrame, limit_mbps: float = CROWDED_MBPS) -> float | None:
    """Return the share of servers whose peaks in both directions are under the limit."""
    return float((peak.max(axis="columns") < limit_mbps).mean()) if len(peak) else None


def busiest(peak: pd.DataFrame) -> pd.Series:
    """Return each server's higher peak of both directions, the busiest server first."""
    return peak.max(axis="columns").sort_values(ascending=False, kind="stable")


def in_need_of_fibre(peak: pd.DataFrame, limit_mbps: float = CROWDED_MBPS) -> list[str]:
    """Return the servers whose peak in either direction reaches the limit, the highest first.

    The limit is what wireless broadband carries.
    """
    highest = busiest(peak)
    return [str(server) for server in highest[highest >= limit_mbps].index]


def with_full_links(
    peak: pd.DataFrame, wireless_bps: float, fibre: Collection[str] = ()
) -> list[str]:
    """Return the servers that filled a wireless link of this rate over an interval."""
    return in_need_of_fibre(peak.drop(index=list(fibre)), FULL_SHARE * wireless_bps / 1e6)


def crowded_servers(folder: RunFolder) -> list[str]:
    """Return `most_crowded` of a run; TestbedError if the run has no backhaul table."""
    servers = [each.name for each in folder.read_schedule().access_points]
    return most_crowded(read_table(folder.path, "backhaul"), servers)


def busiest_interval(backhaul: pd.DataFrame) -> tuple[int, str] | None:
    """Return the interval of the highest uplink of all and whose it is; None if nothing is sent.

    Of equal ones it is the earliest.
    """
    sent = backhaul[backhaul["direction"] == "uplink"]
    if sent.empty:
        return None
    interval, server = sent.groupby(["interval", "server"])["mbps"].sum().idxmax()
    return int(interval), str(server)


def most_crowded(
    backhaul: pd.DataFrame, servers: Sequence[str], interval: int | None = None
) -> list[str]:
    """Return the servers with the highest peak uplinks, the most crowded first.

    They are `CROWDED_SHARE` of all servers, and at least one, but none that sent nothing. With an
    interval, what they sent in that one counts.
    """
    if interval is not None:
        backhaul = backhaul[backhaul["interval"] == interval]
    uplink = peaks(backhaul, servers)["uplink"]
    number = max(1, int(len(servers) * CROWDED_SHARE))
    return [str(server) for server in uplink[uplink > 0].nlargest(number).index]


def servers_named(option: str, text: str) -> list[str]:
    """Return the servers in a file, separated by spaces or lines, or the crowded ones of a run."""
    if not text:
        raise ConfigurationError(f"{option}: names no run or file")
    path = Path(text)
    if path.is_dir():
        return crowded_servers(RunFolder(path))
    what = "expected the folder of a run, or a file of the servers' names"
    try:
        names = path.read_text(encoding="utf-8").split()
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise ConfigurationError(f"{option} {text}: {reason}; {what}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{option} {text}: is no text; {what}") from error
    if not names:
        raise ConfigurationError(f"{option} {text}: names no servers")
    return names
