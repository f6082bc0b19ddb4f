"""Topologies as graphs."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
from mininet.topo import Topo

ROOT = Path(__file__).parents[2]


def graph(topo: Topo) -> nx.Graph:
    return nx.Graph(topo.links())


def access_points_by_switch(topo: Topo) -> dict[str, list[str]]:
    joined = graph(topo)
    hosts = set(topo.hosts()) - {"master"}
    return {s: sorted(hosts & set(joined[s])) for s in topo.switches() if hosts & set(joined[s])}
