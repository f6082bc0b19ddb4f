"""The tree of access points; `mn` takes it too."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import networkx as nx
import pytest

from tests.topologies.graphs import ROOT, access_points_by_switch, graph
from topologies.tree import AccessTree


def test_the_tree_has_its_access_points_on_aggregation_switches_and_the_master_on_the_core() -> (
    None
):
    topo = AccessTree(access_points=40, per_aggregation=16)
    assert nx.is_tree(graph(topo))
    assert [len(names) for names in access_points_by_switch(topo).values()] == [13, 13, 14]
    assert list(graph(topo)["master"]) == ["s1"]
    assert set(graph(topo)["s1"]) == {"master", "s2", "s3", "s4"}


@pytest.mark.parametrize("count", [1, 2, 3, 8, 357])
def test_every_access_point_is_in_the_tree_once(count: int) -> None:
    topo = AccessTree(count)
    assert set(topo.hosts()) == {"master", *(f"ap{i}" for i in range(1, count + 1))}
    assert nx.is_tree(graph(topo))
    assert all(len(names) <= 16 for names in access_points_by_switch(topo).values())


def test_access_points_may_be_named_and_neighbours_share_a_switch() -> None:
    topo = AccessTree(["ap7", "ap8", "ap20", "ap21"], per_aggregation=2)
    assert list(access_points_by_switch(topo).values()) == [["ap7", "ap8"], ["ap20", "ap21"]]


def test_rates_become_mininets_mbits() -> None:
    topo = AccessTree(2, access_bps=100e6, core_bps=1e9)
    rates = {(a, b): options["bw"] for a, b, options in topo.links(withInfo=True)}
    assert rates == {("ap1", "s2"): 100, ("ap2", "s3"): 100, ("master", "s1"): 1000} | {
        ("s2", "s1"): 1000,
        ("s3", "s1"): 1000,
    }


@pytest.fixture
def system_openvswitch() -> Iterator[None]:
    """The machine's own Open vSwitch, started if need be and left as found."""
    if os.geteuid() != 0:
        pytest.skip("mn needs root")
    for program in ("mn", "ovs-vsctl", "ovs-testcontroller", "ping", "service"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    answers = subprocess.run(["ovs-vsctl", "-t", "1", "show"], capture_output=True, check=False)
    if answers.returncode == 0:
        yield
        return
    subprocess.run(["service", "openvswitch-switch", "start"], check=True, capture_output=True)
    yield
    # Stopping alone would leave the device `ovs-netdev` of the userspace datapath behind.
    exit_clean = ["ovs-appctl", "--target=ovs-vswitchd", "exit", "--cleanup"]
    subprocess.run(exit_clean, check=True, capture_output=True)
    subprocess.run(["service", "openvswitch-switch", "stop"], check=True, capture_output=True)


@pytest.mark.emulation
@pytest.mark.parametrize("options", [["tree"], ["tree,4"], ["tree,3", "--link", "tc"]])
def test_mn_takes_the_tree_and_every_host_answers_every_ping(
    system_openvswitch: None, options: list[str]
) -> None:
    command = ["mn", "--custom", "topologies/tree.py", "--topo", *options]
    command += ["--switch", "ovs,datapath=user", "--test", "pingall"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    assert "Results: 0% dropped" in done.stdout + done.stderr, done.stderr[-2000:]
