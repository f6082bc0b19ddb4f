"""Which links packets pass, computed from a topology alone."""

from __future__ import annotations

import pytest
from mininet.topo import Topo

from controllers.paths import Paths
from topologies.ring import AccessRing
from topologies.tree import AccessTree

NAMES = ["ap1", "ap2", "ap3", "ap4"]


def tree(link_bps: float | None = None) -> Paths:
    return Paths(AccessTree(access_points=NAMES, per_aggregation=2), NAMES, link_bps)


def test_neighbours_meet_at_their_switch_and_others_at_the_core() -> None:
    paths = tree()
    assert len(paths(0, 1)) == 2
    assert len(paths(0, 2)) == 4
    assert paths(0, 1)[0] == paths(0, 2)[0]  # the access point's own uplink
    assert paths(0, 2)[-1] == paths(1, 2)[-1]  # the other's downlink
    assert not set(paths(0, 2)) & set(paths(2, 0))  # each direction by itself


def test_rates_are_the_topologys_or_all_the_same() -> None:
    assert set(tree().rates_bps) == {1e9}
    assert set(tree(link_bps=5e6).rates_bps) == {5e6}


def test_some_hosts_links_have_rates_of_their_own() -> None:
    topo = AccessTree(access_points=NAMES, per_aggregation=2)
    paths = Paths(topo, NAMES, host_bps={"ap1": 1e8})
    assert [paths.rates_bps[link] for link in paths(0, 1)] == [1e8, 1e9]
    assert [paths.rates_bps[link] for link in paths(1, 0)] == [1e9, 1e8]
    assert [paths.rates_bps[link] for link in paths(2, 3)] == [1e9, 1e9]


def test_a_ring_is_passed_the_shorter_way() -> None:
    names = [f"ap{number}" for number in range(1, 9)]
    paths = Paths(AccessRing(access_points=names), names)
    for source in range(8):
        for destination in range(8):
            if source != destination:
                assert len(paths(source, destination)) == len(paths(destination, source))
    assert max(len(paths(0, other)) for other in range(1, 8)) <= 2 + 4


class Uneven(Topo):
    """Two ways of two links between s1 and s4: by s2 at 10 Mbit/s, by s3 at 100."""

    def build(self) -> None:
        for number in range(1, 5):
            self.addSwitch(f"s{number}")
        for middle, mbps in (("s2", 10), ("s3", 100)):
            self.addLink("s1", middle, bw=mbps)
            self.addLink(middle, "s4", bw=mbps)
        for host, switch in (("ap1", "s1"), ("ap2", "s4")):
            self.addLink(self.addHost(host), switch, bw=1000)


def test_of_equal_ways_the_faster_is_taken() -> None:
    paths = Paths(Uneven(), ["ap1", "ap2"])
    assert [paths.rates_bps[link] for link in paths(0, 1)] == pytest.approx([1e9, 1e8, 1e8, 1e9])
