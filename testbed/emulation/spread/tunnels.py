"""Tunnels between machines: VXLAN devices whose ends lie in the namespaces of a run.

A VXLAN device sends through the network namespace in which it was made, wherever it is moved to.
So it is made in the machine's own network and put at once into the namespace that it serves, where
it looks like any interface; it goes with that namespace.

    ns ap12 here            this machine          that machine             ns ap12 there
    ap12-eth0 == ap12-tun0 ------- UDP port 4789, VNI -------------------- ap12-eth0
"""

from __future__ import annotations

import socket
from pathlib import Path

import msgspec
from pyroute2 import IPRoute

from testbed.emulation.network.qdiscs import redirect_lines, set_qdiscs
from testbed.namespaces import inside_network

UDP_PORT = 4789  # IANA's for VXLAN (RFC 7348)
#: As on every emulated link. What VXLAN adds (50 bytes) is split off on a network of this MTU.
_MTU = 1500
_NUMBERS = 1 << 10  # of a run's tunnels


class Tunnel(msgspec.Struct, frozen=True):
    """A tunnel as one end sees it: its VNI, and the IPv4 addresses of this end and the other."""

    number: int
    here: str
    there: str


def tunnel_number(run: int, number: int) -> int:
    """Return the VNI (24 bits) of a run's tunnel, so that two runs hardly use the same.

    `run` is any number that tells runs apart; ValueError where a run has too many tunnels.
    """
    if not 0 <= number < _NUMBERS:
        raise ValueError(f"tunnel {number}: a run has {_NUMBERS} at most")
    return run % ((1 << 24) // _NUMBERS) * _NUMBERS + number


def open_tunnel(
    outside: Path, network: Path, interface: str, tunnel: Tunnel, mac: str | None = None
) -> None:
    """Make this end of a tunnel, which leaves by the namespace `outside`, and set it up."""
    address = {"address": mac} if mac else {}
    with inside_network(outside), IPRoute() as netlink:
        netlink.link(
            "add",
            ifname=interface,
            kind="vxlan",
            net_ns_fd=str(network),
            mtu=_MTU,
            vxlan_id=tunnel.number,
            vxlan_local=tunnel.here,
            vxlan_group=tunnel.there,
            vxlan_port=UDP_PORT,
            vxlan_learning=0,
            **address,
        )
    with inside_network(network), IPRoute() as netlink:
        netlink.link("set", index=socket.if_nametoindex(interface), state="up")


def join(network: Path, one: str, other: str) -> None:
    """Have whatever comes in at one interface of a namespace leave by the other, both ways."""
    with inside_network(network):
        set_qdiscs([*redirect_lines(one, other), *redirect_lines(other, one)], (one, other))
