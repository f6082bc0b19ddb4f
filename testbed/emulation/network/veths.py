"""Mininet's links, made all together.

Mininet makes a link by several commands of its nodes' shells. Here a link is noted while Mininet
builds the network, and then made by one netlink message: a veth pair with both ends at home, with
their hardware addresses.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mininet.link import Intf, Link
from mininet.node import Node
from pyroute2 import IPRoute

from testbed.emulation.network.hosts import LazyNode, namespace_of
from testbed.namespaces import inside_network, interface_index


class VethIntf(Intf):
    """An end of a veth pair, as Mininet knows it."""

    @classmethod
    def known(cls, name: str, node: Node, mac: str, address: str) -> None:
        """Tell Mininet of an interface that a node has already."""
        interface = cls(name, node=node, mac=mac, moveIntfFn=Link._ignore)
        interface.ip, interface.prefixLen = address, 32

    def config(self, mac: str | None = None, **params: Any) -> dict[str, Any]:
        """Note the hardware address; `create` sets it."""
        if mac is not None:
            self.mac = mac
        return {}


class VethLink(Link):
    """A veth pair that `create` makes."""

    @classmethod
    def makeIntfPair(cls, *names: Any, **params: Any) -> None:  # noqa: N802
        """Called by Mininet: make nothing yet."""

    def __init__(self, *ends: Any, **params: Any) -> None:
        super().__init__(*ends, **params | {"fast": True})


def create(links: Iterable[Link]) -> None:
    """Make the noted links and set them up; move the ends of those that Mininet has made."""
    with ExitStack() as stack:
        netlinks: dict[Path, IPRoute] = {}

        def netlink_in(namespace: Path) -> IPRoute:
            if namespace not in netlinks:
                with inside_network(namespace):
                    netlinks[namespace] = stack.enter_context(IPRoute())
            return netlinks[namespace]

        for link in links:
            if isinstance(link, VethLink):
                _create(link, netlink_in)
            else:
                _bring_home(link, netlink_in)


def _create(link: VethLink, netlink_in: Callable[[Path], IPRoute]) -> None:
    first, second = link.intf1, link.intf2
    home, other = namespace_of(first.node), namespace_of(second.node)
    here = {"ifname": first.name, "address": first.mac}
    there = {"ifname": second.name, "address": second.mac, "net_ns_fd": str(other)}
    netlink_in(home).link("add", kind="veth", **here, peer=there, state="up")
    netlink_in(other).link("set", index=interface_index(other, second.name), state="up")


def _bring_home(link: Link, netlink_in: Callable[[Path], IPRoute]) -> None:
    """Move the switch ports of a link that Mininet has made to where their switches are."""
    for end in (link.intf1, link.intf2):
        if isinstance(end.node, LazyNode) and not end.node.inNamespace:
            home = namespace_of(end.node)
            with IPRoute() as here:
                here.link("set", index=socket.if_nametoindex(end.name), net_ns_fd=str(home))
            netlink_in(home).link("set", index=interface_index(home, end.name), state="up")
