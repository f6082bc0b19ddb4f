"""Topologies found by name or in files, and what is wrong with those that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import TopologyError
from tests.topologies.graphs import ROOT
from topologies.building import find_topology
from topologies.ring import AccessRing
from topologies.tree import AccessTree


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
