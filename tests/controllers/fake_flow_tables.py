"""Flow tables without switches: apply changes to them and follow a packet from switch to switch.

After Faucet's fakeoftable: forwarding is tested without Open vSwitch, loops included.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec

from controllers import routes
from controllers.routes import FlowAction, FlowChange, Link, Network, WiredHost, WirelessClient


class LoopError(AssertionError):
    """A packet came to the same switch twice."""


class Delivery(msgspec.Struct, frozen=True):
    """The host whose port a packet left by, and the Ethernet destination it then carried."""

    host: str
    mac: str


class FakeFlowTables:
    GATEWAY_MAC = "02:00:00:00:00:fe"

    def __init__(self, network: Network, tables: dict[int, dict[str, FlowAction]]) -> None:
        self.network = network
        self.tables = {dpid: dict(table) for dpid, table in tables.items()}
        self._leads_to: dict[tuple[str, int], tuple[str, int] | str] = {}
        for link in network.links:
            self._leads_to[link.a, link.a_port] = link.b, link.b_port
            self._leads_to[link.b, link.b_port] = link.a, link.a_port
        for name, host in network.hosts.items():
            self._leads_to[host.switch, host.port] = name

    def apply(self, change: FlowChange) -> None:
        """Carry out a change; fails where a switch would not take it as it was meant."""
        assert (change.address in self.tables[change.dpid]) == (change.command != "add")
        assert (change.action is None) == (change.command == "delete")
        routes.apply(change, self.tables)

    def follow(self, source: str, address: str) -> Delivery | None:
        """Return where a packet from a host arrives, None when it is dropped."""
        host = self.network.hosts[source]
        switch, in_port, mac = host.switch, host.port, self.GATEWAY_MAC
        visited: set[str] = set()
        while True:
            if switch in visited:
                raise LoopError(f"{source} to {address}: {switch} twice, after {visited}")
            visited.add(switch)
            action = self.tables[self.network.switches[switch]].get(address)
            if action is None or action.port == in_port:
                return None  # OpenFlow never sends a packet back by the port that it came in by
            mac = action.set_eth_dst or mac
            beyond = self._leads_to[switch, action.port]
            if isinstance(beyond, str):
                return Delivery(beyond, mac)
            switch, in_port = beyond


def network_of(
    switch_links: list[tuple[int, int]], access_points: list[int], master: int = 1
) -> Network:
    """Return a network of switches s1.. joined as listed; access point i is on the i-th switch."""
    numbers = sorted({*itertools.chain(*switch_links), *access_points, master})
    ports = {number: itertools.count(1) for number in numbers}
    links = tuple(
        Link(f"s{a}", next(ports[a]), f"s{b}", next(ports[b]), 1e9) for a, b in switch_links
    )
    places = {f"ap{i}": number for i, number in enumerate(access_points, 1)}
    hosts = {
        name: WiredHost(f"10.0.0.{i}", f"02:00:00:00:00:{i:02x}", f"s{number}", next(ports[number]))
        for i, (name, number) in enumerate(places.items(), 1)
    }
    hosts["master"] = WiredHost("10.2.0.1", "02:00:00:00:ff:01", f"s{master}", next(ports[master]))
    clients = {"c1": WirelessClient("10.1.0.1"), "c2": WirelessClient("10.1.0.2")}
    return Network({f"s{number}": number for number in numbers}, links, hosts, clients)


def tree(aggregations: int = 3, per_aggregation: int = 2) -> Network:
    core_links = [(1, 2 + i) for i in range(aggregations)]
    return network_of(
        core_links, [2 + i for i in range(aggregations) for _ in range(per_aggregation)]
    )


def deep_tree() -> Network:
    """Three levels of switches; access points on the leaves and one half-way up."""
    return network_of([(1, 2), (1, 3), (2, 4), (2, 5), (3, 6), (6, 7)], [4, 4, 5, 7, 3])


def ring(switches: int = 5) -> Network:
    links = [(i, i % switches + 1) for i in range(1, switches + 1)]
    return network_of(links, [*range(1, switches + 1), 2])


def mesh() -> Network:
    links = [(1, 2), (2, 3), (3, 4), (4, 1), (1, 3), (3, 5), (5, 6), (6, 4)]
    return network_of(links, [1, 2, 3, 4, 5, 6])


def pairs(names: list[str]) -> Iterator[tuple[str, str]]:
    return itertools.permutations(names, 2)
