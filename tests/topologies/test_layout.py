"""A topology as data, read in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.errors import TopologyError
from tests.topologies.graphs import ROOT
from topologies.building import build_topo, find_topology
from topologies.layout import layout_of

NAMES = ("ap3", "ap7", "ap8", "ap20", "ap21")

STAR = """
from mininet.topo import Topo

class Star(Topo):
    def build(self, access_points=()):
        self.addSwitch("s1")
        for host in (*access_points, "master"):
            self.addHost(host)
            self.addLink(host, "s1", bw=100, delay="2ms", cls=object, use_htb=True)

topos = {"star": Star}
"""


@pytest.mark.parametrize("name", ["tree", "ring"])
def test_a_layout_has_the_hosts_switches_and_links_of_its_topology(name: str) -> None:
    topo = build_topo(find_topology(name), NAMES)
    layout = layout_of(name, NAMES)
    assert list(layout.hosts()) == topo.hosts()
    assert list(layout.switches()) == topo.switches()
    assert list(layout.links(withInfo=True)) == topo.links(withInfo=True)


def test_a_users_links_have_their_rates_and_delays_but_no_classes(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text(STAR)
    links = list(layout_of(f"{file}:star", ["ap1"]).links(withInfo=True))
    assert [(a, b) for a, b, _ in links] == [("ap1", "s1"), ("master", "s1")]
    for *_, details in links:
        assert (details["bw"], details["delay"], details["use_htb"]) == (100, "2ms", True)
        assert "cls" not in details


def test_what_a_users_file_prints_is_no_part_of_the_layout(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "loud.py"
    file.write_text(f"print('hello')\n{STAR}\nprint('bye')\n")
    assert layout_of(str(file), ["ap1"]).hosts() == ("ap1", "master")
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.split() == ["hello", "bye"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise RuntimeError('not today')", "cannot be imported: RuntimeError: not today"),
        ("x = 1", "has no dictionary `topos`"),
        (STAR.replace("self.addSwitch", "raise KeyError"), "Star.build.* fails: KeyError: 's1'"),
        (STAR.replace('"master"', '"other"'), "Star has no host master"),
        (STAR.replace("2ms", "soon"), "a link's delay: 'soon'"),
        ("import os\nos._exit(7)", "its process ended with status 7"),
        ("raise SystemExit(4)", "its process ended with status 4"),
    ],
)
def test_a_file_that_gives_no_topology_says_why(tmp_path: Path, source: str, said: str) -> None:
    file = tmp_path / "own.py"
    file.write_text(source)
    with pytest.raises(TopologyError, match=said):
        layout_of(str(file), ["ap1"])


def test_an_unknown_name_is_refused_without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    with pytest.raises(TopologyError, match="did you mean 'tree'"):
        layout_of("trie", ["ap1"])


def test_whoever_asks_loads_neither_mininet_nor_the_users_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(STAR + "\nimport colorsys\n")
    code = (
        "import sys\n"
        "from topologies.layout import layout_of\n"
        "layout_of('tree', ['ap1', 'ap2'])\n"
        "layout_of('own.py', ['ap1', 'ap2'])\n"  # from where it is called
        "print(*{name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"mininet", "colorsys"} & set(done.stdout.split())
