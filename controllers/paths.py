"""The links that traffic between hosts of a Mininet topology passes, without a network.

The simulator's counterpart of what `shortest_path` installs: the same flow tables are followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, Protocol

from controllers.routes import FlowAction, Link, Network, WiredHost, flow_tables, neighbours

_DEFAULT_MBPS = 1000.0  # as Mininet's own links without a `bw`


class Topology(Protocol):
    """What is asked of a Mininet `Topo`."""

    def switches(self) -> Iterable[str]:
        """Return the switches' names."""

    def links(self, *, withInfo: bool) -> Iterable[tuple[str, str, dict[str, Any]]]:  # noqa: N803
        """Return both ends of each link, with `node1`, `port1`, `node2`, `port2` and the like."""


def topology_rate_bps(details: Mapping[str, Any]) -> float:
    """Return the rate that a topology gives a link as Mininet's `bw`, which is in Mbit/s."""
    return float(details.get("bw") or _DEFAULT_MBPS) * 1e6


def link_rate_bps(
    ends: Iterable[str],
    details: Mapping[str, Any],
    link_bps: float | None = None,
    host_bps: Mapping[str, float] = MappingProxyType({}),
) -> float:
    """Return the rate of a link between these nodes.

    That of a host at its end (`host_bps`), else that of every link, else what the topology says of
    it (`details`).
    """
    own = [host_bps[end] for end in ends if end in host_bps]
    return min(own) if own else link_bps or topology_rate_bps(details)


class Paths:
    """The paths between hosts, each a tuple of directed links, whose rates are in `rates_bps`.

    Paths are asked between `hosts`, numbered in their order. `link_bps` is the rate of every link
    (None: the topology's own, a `bw` in Mbit/s), `host_bps` those of hosts' links that differ.
    """

    def __init__(
        self,
        topo: Topology,
        hosts: Sequence[str],
        link_bps: float | None = None,
        host_bps: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._hosts = tuple(hosts)
        self._number: dict[tuple[str, int], int] = {}  # by the node and port that it leaves
        self.rates_bps: list[float] = []
        switches = {name: _dpid(name, place) for place, name in enumerate(topo.switches(), 1)}
        links, found = [], {}
        for a, b, details in topo.links(withInfo=True):
            rate_bps = link_rate_bps((a, b), details, link_bps, host_bps)
            ports = {details["node1"]: details["port1"], details["node2"]: details["port2"]}
            for node, port in ports.items():
                self._number[node, port] = len(self.rates_bps)
                self.rates_bps.append(rate_bps)
            if a in switches and b in switches:
                links.append(Link(a, ports[a], b, ports[b], rate_bps))
            else:
                host, switch = (a, b) if b in switches else (b, a)
                found[host] = WiredHost(host, "", switch, ports[switch])
                self._number[host, 0] = self._number.pop((host, ports[host]))
        self._network = Network(switches, tuple(links), found, {})
        self._tables: dict[int, dict[str, FlowAction]] = flow_tables(self._network)
        self._neighbours = neighbours(self._network)
        self._path = cache(self._follow)

    def __call__(self, source: int, destination: int) -> tuple[int, ...]:
        """Return the links from one host to another, in their order."""
        return self._path(source, destination)

    def _follow(self, source: int, destination: int) -> tuple[int, ...]:
        node, goal = self._network.hosts[self._hosts[source]].switch, self._hosts[destination]
        path = [self._number[self._hosts[source], 0]]
        while node != goal:
            port = self._tables[self._network.switches[node]][goal].port
            path.append(self._number[node, port])
            node = self._neighbours[node][port]
        return tuple(path)


def _dpid(name: str, place: int) -> int:
    """Return a switch's datapath id as Mininet makes it of its name, else its place."""
    digits = re.search(r"\d+", name)
    return int(digits.group()) if digits else place
