"""A backhaul as a ring of switches, which survives the loss of any one link between them.

        master
          |
          s1 ---- s2 --- ap3, ap4
         /|        |
     ap1 ap2       |
          |        |
          s4 ---- s3 --- ap5, ap6
         /|
     ap7 ap8

Warning: the ring is a loop. A learning controller, such as the one that `mn` starts by itself,
floods unknown addresses round it for ever. Use a controller that knows the topology, such as
controllers/shortest_path.py, or bridges with the spanning tree protocol (half a minute to settle):

    sudo mn --custom topologies/ring.py --topo ring --switch ovsbr,stp=1 --wait --test pingall

Without the Open vSwitch kernel module write `--switch ovsbr,stp=1,datapath=user`. The rates only
count with `--link tc`, and Mininet ignores a `bw` above 1000 Mbit/s.
"""

from __future__ import annotations

from collections.abc import Sequence

from mininet.topo import Topo

BPS_PER_MBPS = 1e6  # Mininet's `bw` is in Mbit/s


class AccessRing(Topo):
    """Access points spread over a ring of switches, with the master on the first.

    Args:
        access_points: their names, or how many there are (then they are called ap1, ap2, ...).
        switches: how many switches form the ring, at least 3.
        access_bps: rate of an access point's and of the master's link, in bit/s.
        ring_bps: rate of a link between two switches, in bit/s.
    """

    def build(
        self,
        access_points: int | Sequence[str] = 8,
        switches: int = 4,
        access_bps: float = 1e9,
        ring_bps: float = 1e9,
    ) -> None:
        """Add the nodes and links; called by Mininet's `Topo` with the arguments given to it."""
        if isinstance(access_points, int):
            access_points = [f"ap{number}" for number in range(1, access_points + 1)]
        names = list(access_points)
        if not names or switches < 3:
            raise ValueError(
                f"a ring of {switches} switches with {len(names)} access points:"
                " it takes at least 3 switches and 1 access point"
            )
        ring = [self.addSwitch(f"s{number}") for number in range(1, switches + 1)]
        for here, following in zip(ring, [*ring[1:], ring[0]], strict=True):
            self.addLink(here, following, bw=ring_bps / BPS_PER_MBPS)
        self.addLink(self.addHost("master"), ring[0], bw=access_bps / BPS_PER_MBPS)
        for index, name in enumerate(names):
            switch = ring[index * switches // len(names)]
            self.addLink(self.addHost(name), switch, bw=access_bps / BPS_PER_MBPS)


topos = {"ring": AccessRing}
