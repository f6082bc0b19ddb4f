"""A backhaul as most campuses build it: access points on aggregation switches, those on a core.

                      master
                        |
                    s1 (core)
                   /    |    \\
                 s2     s3    ...      aggregation switches
               / | \\  / | \\
            ap1 ..      .. apN         access points, each with an edge server

Try it with Mininet's own controller, which learns addresses by flooding (the tree has no loop):

    sudo mn --custom topologies/tree.py --topo tree --test pingall
    sudo mn --custom topologies/tree.py --topo tree,40,per_aggregation=8 --link tc

Without the Open vSwitch kernel module add `--switch ovs,datapath=user`.

Warnings: the rates only count with `--link tc`, and Mininet ignores a `bw` above 1000 Mbit/s. Pings
pass the userspace datapath as they are, but TCP gets stuck there until the hosts compute their own
checksums: `ap1 ethtool -K ap1-eth0 tx off`, for each host.
"""

from __future__ import annotations

from collections.abc import Sequence

from mininet.topo import Topo

BPS_PER_MBPS = 1e6  # Mininet's `bw` is in Mbit/s


class AccessTree(Topo):
    """Access points on at least two aggregation switches, those and the master on one core switch.

    Neighbours in the list of access points share an aggregation switch; the switches differ by at
    most one access point.

    Args:
        access_points: their names, or how many there are (then they are called ap1, ap2, ...).
        per_aggregation: at most so many access points on one aggregation switch.
        access_bps: rate of an access point's link, in bit/s.
        core_bps: rate of the core's links (to aggregation switches and master), in bit/s.
    """

    def build(
        self,
        access_points: int | Sequence[str] = 8,
        per_aggregation: int = 16,
        access_bps: float = 1e9,
        core_bps: float = 1e9,
    ) -> None:
        """Add the nodes and links; called by Mininet's `Topo` with the arguments given to it."""
        if isinstance(access_points, int):
            access_points = [f"ap{number}" for number in range(1, access_points + 1)]
        names = list(access_points)
        if not names or per_aggregation < 1:
            raise ValueError(
                f"a tree of {len(names)} access points, {per_aggregation} per aggregation switch:"
                " both must be at least 1"
            )
        core = self.addSwitch("s1")
        self.addLink(self.addHost("master"), core, bw=core_bps / BPS_PER_MBPS)
        aggregations = min(len(names), max(2, -(-len(names) // per_aggregation)))
        for index in range(aggregations):
            aggregation = self.addSwitch(f"s{index + 2}")
            self.addLink(aggregation, core, bw=core_bps / BPS_PER_MBPS)
            first, end = (len(names) * i // aggregations for i in (index, index + 1))
            for name in names[first:end]:
                self.addLink(self.addHost(name), aggregation, bw=access_bps / BPS_PER_MBPS)


topos = {"tree": AccessTree}
