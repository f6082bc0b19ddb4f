"""What a Mininet user does with the network's objects."""

from __future__ import annotations

import re
from pathlib import Path

from tests.emulation.sandboxed import run_in_sandbox


def test_nodes_take_commands_and_reach_each_other() -> None:
    found = run_in_sandbox("tests.emulation.mininet_objects", "tree", timeout_s=120)
    assert found["shells_at_first"] == []  # they start with the first command
    assert f"{found['expected']}/32" in found["address"]
    assert sorted(found["interfaces"]) == ["ap2-eth0", "ap2-wlan0", "lo"]
    assert "c1-wlan0" in found["popen"]
    assert found["hosts"] == 4
    assert found["loss_percent"] == 0
    assert found["ends"] == ["c1-wlan0", "10.1.0.1", "02:00:00:01:00:01"]
    assert not found["shell_after"]
    assert f"nw_dst={found['expected']}" in found["flows"]
    assert set(found["links"]) == {"(OK OK)"}
    buffers = [re.search(r"tb(\d+)", line) for line in found["sockets"]]
    assert len(buffers) > 4  # one a port, and one that sends
    assert all(each is not None and int(each.group(1)) >= 4 << 20 for each in buffers)


def test_a_topology_may_have_hosts_links_and_switches_of_mininets_own() -> None:
    topology = f"{Path(__file__).parents[1] / 'plain_topology.py'}:plain"
    found = run_in_sandbox("tests.emulation.mininet_objects", topology, timeout_s=120)
    assert f"{found['expected']}/32" in found["address"]
    assert found["loss_percent"] == 0
