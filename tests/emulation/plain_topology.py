"""A backhaul of Mininet's own hosts, links and switches, as a Mininet user may have one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from mininet.link import TCLink
from mininet.node import Host, OVSSwitch
from mininet.topo import Topo


class Plain(Topo):
    def build(self, access_points: Sequence[str] = ("ap1", "ap2")) -> None:
        switch = self.addSwitch("s1", cls=partial(OVSSwitch, datapath="user"))
        for name in ("master", *access_points):
            self.addLink(self.addHost(name, cls=Host), switch, cls=TCLink, bw=100)


topos = {"plain": Plain}
