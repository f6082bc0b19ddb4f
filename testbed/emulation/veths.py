"""Mininet's links, made all together.

Mininet makes a link by several commands of its nodes' shells. Here a link is noted while Mininet
builds the network, and then made by one netlink message: a veth pair with both ends at home, with
their hardware addresses.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from mininet.link import Intf, Link
from mininet.node import Node
from pyroute2 import IPRoute

from testbed.emulation.hosts import namespace_of
from testbed.emulation.namespaces import inside_network


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
    """Make the links that are noted, and set them up."""
    with IPRoute() as here:
        for link in links:
            if isinstance(link, VethLink):
                _create(here, link)


def _create(here: IPRoute, link: VethLink) -> None:
    first, second = link.intf1, link.intf2
    here.link(
        "add",
        ifname=first.name,
        kind="veth",
        **_at_home(first),
        peer={"ifname": second.name, **_at_home(second)},
    )
    for end in (first, second):
        if end.node.inNamespace:
            with inside_network(namespace_of(end.node)), IPRoute() as there:
                _set_up(there, end)
        else:
            _set_up(here, end)


def _at_home(end: Intf) -> dict[str, Any]:
    place = {"net_ns_fd": str(namespace_of(end.node))} if end.node.inNamespace else {}
    return place | {"address": end.mac}


def _set_up(netlink: IPRoute, end: Intf) -> None:
    netlink.link("set", index=socket.if_nametoindex(end.name), state="up")
