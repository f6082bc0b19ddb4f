"""The ring of access points."""

from __future__ import annotations

import networkx as nx

from tests.topologies.graphs import access_points_by_switch, graph
from topologies.ring import AccessRing


def test_the_ring_is_one_loop_with_the_access_points_spread_over_it() -> None:
    topo = AccessRing(access_points=8, switches=4)
    assert sorted(nx.cycle_basis(graph(topo))[0]) == ["s1", "s2", "s3", "s4"]
    assert len(nx.cycle_basis(graph(topo))) == 1
    assert access_points_by_switch(topo)["s2"] == ["ap3", "ap4"]
    assert nx.is_connected(graph(topo))
