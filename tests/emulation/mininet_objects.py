"""Inside a sandbox: Mininet's own objects of an emulated network, used as its users do."""

from __future__ import annotations

import json
import sys
from typing import Any

from testbed.emulation.network.hosts import LazyNode
from testbed.emulation.network.switches import Switch
from tests.emulation.small_network import small_network


def main(topology: str) -> None:
    """Print what nodes say."""
    found: dict[str, Any] = {}
    with small_network(topology, access_points=2, clients=1) as (network, _):
        net = network.mininet
        found["shells_at_first"] = [node.name for node in net.values() if has_shell(node)]
        switch = net.switches[0]
        found["flows"] = switch.dpctl("dump-flows") if isinstance(switch, Switch) else None
        found["sockets"] = switch.cmd("ss -0 -m -n -a").splitlines()[1:]
        found["links"] = [link.status() for link in net.links]
        found["address"] = net["ap1"].cmd("ip -o -4 addr show ap1-eth0")
        found["expected"] = network.address("ap1")
        found["interfaces"] = net["ap2"].cmd("ls /sys/class/net").split()
        found["popen"] = net["c1"].popen(["ip", "-o", "link"]).communicate()[0].decode()
        found["loss_percent"] = net.pingAll(timeout="5")
        found["hosts"] = len(net.hosts)
        found["ends"] = [str(net["c1"].defaultIntf()), net["c1"].IP(), net["c1"].MAC()]
        net["ap1"].terminate()
        found["shell_after"] = has_shell(net["ap1"])
    print(json.dumps(found))


def has_shell(node: Any) -> bool:
    return isinstance(node, LazyNode) and node._shell is not None


if __name__ == "__main__":
    main(*sys.argv[1:])
