"""What the flow tables of the backhaul should hold: pure functions of the network's description.

Switches forward on the IPv4 destination alone, along a path with the fewest links. The last switch
rewrites the Ethernet destination to the host's own address (for a client: that of the access point
it is attached to), since hosts send everything to a virtual gateway and nothing asks by ARP.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import msgspec

from testbed.errors import ConfigurationError, TopologyError, unknown_name

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class Link(msgspec.Struct, frozen=True):
    """A link between two switches, with the OpenFlow port number at either end."""

    a: str
    a_port: int
    b: str
    b_port: int
    rate_bps: float


class WiredHost(msgspec.Struct, frozen=True):
    """An access point or the master, at a port of a switch; `mac` of its backhaul interface."""

    address: str
    mac: str
    switch: str
    port: int


class WirelessClient(msgspec.Struct, frozen=True):
    """A wireless client and the host (access point) it is attached to, None before it attaches."""

    address: str
    host: str | None = None


class Network(msgspec.Struct, frozen=True):
    """The backhaul; `switches` maps names to OpenFlow datapath ids. Treated as immutable."""

    switches: dict[str, int]
    links: tuple[Link, ...]
    hosts: dict[str, WiredHost]
    clients: dict[str, WirelessClient]


class FlowAction(msgspec.Struct, frozen=True):
    """Send out of `port`, after setting the Ethernet destination at the last switch."""

    port: int
    set_eth_dst: str | None = None


class FlowChange(msgspec.Struct, frozen=True):
    """One change of a flow table, `hops` links away from the place where its address is."""

    dpid: int
    command: Literal["add", "modify", "delete"]
    address: str
    action: FlowAction | None
    hops: int


class _Exit(msgspec.Struct, frozen=True):
    """A switch's way to a neighbouring switch."""

    port: int
    neighbour: str
    rate_bps: float


_Graph = dict[str, list[_Exit]]
_FlowTable = dict[str, FlowAction]


def decode_network(text: bytes | str) -> Network:
    """Return the network described by JSON; raises TopologyError when it is not usable."""
    try:
        network = msgspec.json.decode(text, type=Network)
    except msgspec.DecodeError as error:
        raise TopologyError(f"description of the network: {error}") from error
    _validate(network)
    return network


def flow_tables(network: Network) -> dict[int, dict[str, FlowAction]]:
    """Return what every switch should hold: {datapath id: {IPv4 address: action}}.

    Clients that are attached nowhere have no entry.
    """
    tables: dict[int, _FlowTable] = {dpid: {} for dpid in network.switches.values()}
    graph = _graph(network)
    for address, place in _places(network).items():
        hops = _hops(graph, place.switch)
        for switch, action in _routes(network, graph, hops, place):
            tables[network.switches[switch]][address] = action
    return tables


def changes(before: Network, after: Network) -> list[FlowChange]:
    """Return the changes that lead from one network's flow tables to the other's, in order.

    They are ordered by the distance of the switch from where the address now is, nearest first.
    Applied so, no packet can loop at any moment. A switch with its new entry sends a packet one
    link nearer to the new place, where every switch has its new entry already. The others send it
    along the old path, which has no loop, until it arrives, is dropped or meets a new entry.
    Changes with equal `hops` do not lead to each other, so only those with different `hops` must
    wait for one another (with a barrier). Switches that only `before` has are left out.
    """
    graphs = _graph(before), _graph(after)
    same_links = graphs[0] == graphs[1] and before.switches == after.switches
    old, new = _places(before), _places(after)
    found: list[FlowChange] = []
    for address in old.keys() | new.keys():
        if same_links and old.get(address) == new.get(address):
            continue
        found += _changes_of(
            address,
            _table_of(before, graphs[0], old.get(address)),
            _table_of(after, graphs[1], new.get(address)),
            _hops(graphs[1], (new.get(address) or old[address]).switch),
            after.switches,
        )
    return sorted(found, key=lambda change: (change.hops, change.dpid, change.address))


def apply(change: FlowChange, tables: dict[int, dict[str, FlowAction]]) -> None:
    """Carry out a change on flow tables as `flow_tables` returns them."""
    if change.action is None:
        del tables[change.dpid][change.address]
    else:
        tables[change.dpid][change.address] = change.action


def move(network: Network, client: str, access_point: str) -> Network:
    """Return the network with the client attached to an access point (any host)."""
    if client not in network.clients:
        raise ConfigurationError(unknown_name("client", client, network.clients))
    if access_point not in network.hosts:
        raise ConfigurationError(unknown_name("access point", access_point, network.hosts))
    moved = msgspec.structs.replace(network.clients[client], host=access_point)
    return msgspec.structs.replace(network, clients={**network.clients, client: moved})


def neighbours(network: Network) -> dict[str, dict[int, str]]:
    """Return what is connected where: {switch: {port: name of the switch or host}}."""
    found: dict[str, dict[int, str]] = {switch: {} for switch in network.switches}
    for switch, port, neighbour in _ends(network):
        found[switch][port] = neighbour
    return found


def _ends(network: Network) -> Iterator[tuple[str, int, str]]:
    """Yield (switch, port, neighbour) of every port in use."""
    for link in network.links:
        yield link.a, link.a_port, link.b
        yield link.b, link.b_port, link.a
    for name, host in network.hosts.items():
        yield host.switch, host.port, name


def _graph(network: Network) -> _Graph:
    graph: _Graph = {switch: [] for switch in network.switches}
    for link in network.links:
        graph[link.a].append(_Exit(link.a_port, link.b, link.rate_bps))
        graph[link.b].append(_Exit(link.b_port, link.a, link.rate_bps))
    return graph


def _places(network: Network) -> dict[str, WiredHost]:
    """Return the host behind which each address is: {IPv4 address: host}."""
    places = {host.address: host for host in network.hosts.values()}
    for client in network.clients.values():
        if client.host is not None:
            places[client.address] = network.hosts[client.host]
    return places


def _hops(graph: _Graph, goal: str) -> dict[str, int]:
    """Return the number of links from each switch to `goal`, breadth first; unreachable: absent."""
    hops = {goal: 0} if goal in graph else {}
    queue = deque(hops)
    while queue:
        switch = queue.popleft()
        for way in graph[switch]:
            if way.neighbour not in hops:
                hops[way.neighbour] = hops[switch] + 1
                queue.append(way.neighbour)
    return hops


def _routes(
    network: Network, graph: _Graph, hops: Mapping[str, int], place: WiredHost
) -> Iterator[tuple[str, FlowAction]]:
    """Yield (switch, action) towards a place; of equal ways the fastest link, then lowest dpid."""
    for switch, distance in hops.items():
        if distance == 0:
            yield switch, FlowAction(place.port, place.mac)
            continue
        nearer = (way for way in graph[switch] if hops[way.neighbour] == distance - 1)
        ranked = ((-way.rate_bps, network.switches[way.neighbour], way.port) for way in nearer)
        yield switch, FlowAction(min(ranked)[2])


def _table_of(network: Network, graph: _Graph, place: WiredHost | None) -> dict[str, FlowAction]:
    """Return {switch: action} for what is at `place`, nothing for what is nowhere."""
    return dict(_routes(network, graph, _hops(graph, place.switch), place)) if place else {}


def _changes_of(
    address: str,
    old: Mapping[str, FlowAction],
    new: Mapping[str, FlowAction],
    hops: Mapping[str, int],
    switches: Mapping[str, int],
) -> Iterator[FlowChange]:
    for switch, dpid in switches.items():
        was, now = old.get(switch), new.get(switch)
        if was == now:
            continue
        command: Literal["add", "modify", "delete"] = (
            "add" if was is None else "delete" if now is None else "modify"
        )
        # A switch that the place can no longer be reached from comes last.
        yield FlowChange(dpid, command, address, now, hops.get(switch, len(switches)))


def _validate(network: Network) -> None:
    for switch, *_ in _ends(network):
        _known("switch", switch, network.switches)
    for host in network.hosts.values():
        if not _MAC.fullmatch(host.mac):
            raise TopologyError(f"MAC {host.mac!r}: write it as in 02:00:00:00:00:01")
    for client in network.clients.values():
        if client.host is not None:
            _known("host", client.host, network.hosts)
    addresses = [host.address for host in network.hosts.values()]
    addresses += [client.address for client in network.clients.values()]
    for address in addresses:
        try:
            ipaddress.IPv4Address(address)
        except ValueError as error:
            raise TopologyError(f"address {address!r} is no IPv4 address") from error
    _unique("address", addresses)
    _unique("datapath id", network.switches.values())
    _unique("port", (f"{port} of {switch}" for switch, port, _ in _ends(network)))
    _connected(network)


def _known(kind: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise TopologyError(unknown_name(kind, name, known))


def _unique(what: str, values: Iterable[object]) -> None:
    for value, uses in Counter(values).items():
        if uses > 1:
            raise TopologyError(f"{what} {value} is used twice")


def _connected(network: Network) -> None:
    if not network.switches:
        raise TopologyError("the network has no switch")
    first = next(iter(network.switches))
    apart = network.switches.keys() - _hops(_graph(network), first)
    if apart:
        raise TopologyError(f"no path from switch {first} to {', '.join(sorted(apart))}")
