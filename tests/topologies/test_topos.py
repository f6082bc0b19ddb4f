from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest
from mininet.topo import Topo

from testbed.errors import TopologyError
from topologies.library import find_topology
from topologies.ring import AccessRing
from topologies.tree import AccessTree

ROOT = Path(__file__).parents[2]


def graph(topo: Topo) -> nx.Graph:
    return nx.Graph(topo.links())


def access_points_by_switch(topo: Topo) -> dict[str, list[str]]:
    joined = graph(topo)
    hosts = set(topo.hosts()) - {"master"}
    return {s: sorted(hosts & set(joined[s])) for s in topo.switches() if hosts & set(joined[s])}


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


def test_the_ring_is_one_loop_with_the_access_points_spread_over_it() -> None:
    topo = AccessRing(access_points=8, switches=4)
    assert sorted(nx.cycle_basis(graph(topo))[0]) == ["s1", "s2", "s3", "s4"]
    assert len(nx.cycle_basis(graph(topo))) == 1
    assert access_points_by_switch(topo)["s2"] == ["ap3", "ap4"]
    assert nx.is_connected(graph(topo))


def test_sizes_that_make_no_network_are_refused() -> None:
    with pytest.raises(ValueError, match="tree of 0 access points"):
        AccessTree(0)
    with pytest.raises(ValueError, match="ring of 2 switches"):
        AccessRing(switches=2)


def test_built_in_topologies_are_found_by_name_and_as_files() -> None:
    assert find_topology("tree") is AccessTree
    assert find_topology("ring") is AccessRing
    assert find_topology(str(ROOT / "topologies/tree.py") + ":tree").__name__ == "AccessTree"
    assert find_topology(str(ROOT / "topologies/ring.py")).__name__ == "AccessRing"


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        ("x = 1", "", "no dictionary `topos`"),
        ("topos = {}", "", "no dictionary `topos`"),
        ("import nothing_of_this_name", "", "cannot be imported: ModuleNotFoundError"),
        ("topos = {'a': 1}", "", "'a' is no subclass of mininet.topo.Topo"),
        ("topos = {'star': 1, 'mesh': 2}", "", "several topologies .mesh, star.; write"),
        ("topos = {'star': 1, 'mesh': 2}", ":stat", "did you mean 'star'"),
        ("topos = {'star': 1}", "x", "write FILE.py or FILE.py:NAME"),
    ],
)
def test_unusable_topology_files_say_why(
    tmp_path: Path, source: str, name: str, message: str
) -> None:
    file = tmp_path / "own.py"
    file.write_text(source)
    with pytest.raises(TopologyError, match=message):
        find_topology(f"{file}{name}")


def test_unknown_names_and_missing_files_say_what_to_do() -> None:
    with pytest.raises(TopologyError, match=r"did you mean 'tree'.*FILE.py:NAME"):
        find_topology("three")
    with pytest.raises(TopologyError, match=r"nowhere.py does not exist"):
        find_topology("nowhere.py:tree")


@pytest.mark.parametrize("module", ["tree", "ring"])
def test_topology_modules_import_only_the_standard_library_and_mininet(module: str) -> None:
    code = (
        "import runpy, sys; before = set(sys.modules);"
        f"runpy.run_path('topologies/{module}.py');"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) - set(sys.stdlib_module_names) <= {"mininet"}


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
