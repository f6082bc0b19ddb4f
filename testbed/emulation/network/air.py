"""The radio side: which access point hears which client.

All radios stand in one network namespace, `air`. An access point's basic service set (BSS) is a
bridge there, joined to the access point's `wlan0`; a client's radio is a veth whose far end is a
port of the BSS it is associated with. A handover moves that port from one bridge to another: one
netlink message (0.7 ms), and unlike a move between namespaces it keeps the queues, so the rates of
the link hold through every handover.

    ns ap12                    ns air                        ns c1
    ap12-wlan0 --------- r-ap12 [bss-ap12] r-c1 ---------- c1-wlan0
                                           50 Mbit/s >>    << 35 Mbit/s

Where airtime is shared, the access point's own link has these rates too, for all of its clients.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mininet.node import Node
from pyroute2 import IPRoute
from pyroute2.netlink.rtnl.ndmsg import NTF_MASTER

from testbed.emulation.network import shaping
from testbed.emulation.network.addresses import GATEWAY_MAC
from testbed.emulation.network.hosts import Host, namespace_of
from testbed.emulation.network.shaping import AGGREGATED_FRAMES, wireless_shape
from testbed.emulation.network.veths import VethIntf
from testbed.namespaces import inside_network, interface_index
from testbed.settings.experiment import Wireless

#: Called with a client's address and hardware address to route to it; None stops routing to it.
Route = Callable[[str, str | None], None]


def route_by_radio(netlink: IPRoute, radio: int, address: str, mac: str | None) -> None:
    """Route to a client in an access point's network namespace; without `mac`, stop routing.

    `netlink` is a socket there, `radio` the index of the radio's interface.
    """
    if mac is not None:  # known before anyone asks for it
        netlink.neigh("replace", dst=address, lladdr=mac, ifindex=radio, state="permanent")
    command = "del" if mac is None else "replace"
    netlink.route(command, dst=f"{address}/32", oif=radio, scope="link")


class Air:
    """The radios of all access points and clients, and who is associated with whom."""

    def __init__(self, settings: Wireless, delay_s: float, tdf: float) -> None:
        """`delay_s` is what the links get of the delay that is set: all of it, or nothing."""
        self.node = Host("air")
        self._settings = settings
        self._delay_s = delay_s
        self._tdf = tdf
        self._netlink = netlink_of(self.node)
        self._routes: dict[str, Route] = {}  # by access point
        self._radio: dict[str, int] = {}  # node -> index of its radio in `air`
        self._bss: dict[str, int] = {}  # access point -> index of its bridge
        self._mac: dict[str, str] = {}
        self._address: dict[str, str] = {}
        self._associated: dict[str, str] = {}

    def add_access_point(self, node: Node, netlink: IPRoute, route: Route | None = None) -> None:
        """Give an access point its radio and BSS; by default it routes to clients here, by that."""
        name = node.name
        index = self._add_radio(node, netlink, GATEWAY_MAC)
        self._routes[name] = route or partial(route_by_radio, netlink, index)
        bss = f"bss-{name}"
        self._netlink.link("add", ifname=bss, kind="bridge", br_mcast_snooping=0, state="up")
        self._bss[name] = interface_index(self.node.namespace, bss)
        self._join_bss(name, name)
        if self._settings.airtime == "shared":  # what all clients here have together
            self._shape_link(node, down_bps=self._settings.up_bps, up_bps=self._settings.down_bps)

    def add_client(self, node: Node, netlink: IPRoute, mac: str, address: str) -> int:
        """Give a client its radio, shaped both ways; return the index of its wlan0."""
        name = node.name
        index = self._add_radio(node, netlink, mac)
        VethIntf.known(f"{name}-wlan0", node, mac, address)
        self._mac[name], self._address[name] = mac, address
        self._shape_link(node, self._settings.down_bps, self._settings.up_bps, self._delay_s)
        return index

    def associate(self, client: str, access_point: str) -> None:
        """Move the client's radio into the access point's BSS and route to it there."""
        previous = self._associated.get(client)
        if previous == access_point:
            return
        self._join_bss(client, access_point)
        self._routes[access_point](self._address[client], self._mac[client])
        if previous is not None:
            self._routes[previous](self._address[client], None)
        self._associated[client] = access_point

    def dissociate(self, client: str) -> None:
        """Take the client's link away, until the next `associate`."""
        previous = self._associated.pop(client, None)
        if previous is not None:
            self._netlink.link("set", index=self._radio[client], master=0)
            self._routes[previous](self._address[client], None)

    def close(self) -> None:
        """Close the netlink sockets."""
        self._netlink.close()

    def _shape_link(self, node: Node, down_bps: float, up_bps: float, delay_s: float = 0.0) -> None:
        """Give a node's radio its rates, from and to it."""
        ends = ((node, f"{node.name}-wlan0", up_bps), (self.node, f"r-{node.name}", down_bps))
        for where, interface, rate_bps in ends:
            shape = wireless_shape(self._settings, rate_bps, delay_s, self._tdf)
            with inside_network(namespace_of(where)):
                shaping.apply({interface: shape})

    def _add_radio(self, node: Node, netlink: IPRoute, mac: str) -> int:
        name, namespace = node.name, namespace_of(node)
        peer = {"ifname": f"{name}-wlan0", "address": mac, "net_ns_fd": str(namespace)}
        self._netlink.link("add", ifname=f"r-{name}", kind="veth", state="up", peer=peer)
        self._radio[name] = interface_index(self.node.namespace, f"r-{name}")
        index = interface_index(namespace, f"{name}-wlan0")
        netlink.link("set", index=index, state="up", gso_max_segs=AGGREGATED_FRAMES)
        return index

    def _join_bss(self, name: str, access_point: str) -> None:
        radio, mac = self._radio[name], self._mac.get(name, GATEWAY_MAC)
        self._netlink.link("set", index=radio, master=self._bss[access_point])
        # Who is where is known before anyone sends: nothing has to be flooded to be learned
        self._netlink.fdb("replace", ifindex=radio, lladdr=mac, flags=NTF_MASTER, state="noarp")


def netlink_of(node: Node) -> IPRoute:
    """Return a netlink socket in a node's network namespace."""
    with inside_network(namespace_of(node)):
        return IPRoute()
