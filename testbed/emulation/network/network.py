"""The emulated network: a Mininet of access points, master, switches and clients.

`EmulatedNetwork.mininet` is an ordinary Mininet network (`net['ap12'].cmd('ip addr')`, `pingAll`).
What is added to it: a private Open vSwitch, addresses without ARP, shaped links, and the air.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from mininet.link import Intf
from mininet.net import Mininet
from mininet.node import Node, RemoteController
from mininet.topo import Topo
from pyroute2 import IPRoute

from controllers import routes
from controllers.paths import link_rate_bps
from testbed.emulation.network import addresses, kernel_delay, shaping, veths
from testbed.emulation.network.air import Air, netlink_of
from testbed.emulation.network.hosts import Host, namespace_of
from testbed.emulation.network.shaping import SEGMENT_FRAMES, Shape, backhaul_shape
from testbed.emulation.network.switches import OpenVSwitches, Switch
from testbed.emulation.network.veths import VethIntf, VethLink
from testbed.emulation.sandbox import background
from testbed.emulation.sandbox.sandbox import scratch_folder
from testbed.namespaces import inside_network, interface_index
from testbed.settings.experiment import Experiment
from testbed.values import MASTER
from topologies.building import build_topo

CONTROLLER_PORT = 6653

_SYSCTL = {
    "ipv6/conf/all/disable_ipv6": "1",  # router solicitations would be the only multicast
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/tcp_no_metrics_save": "1",  # a path's past must not shape the next transfer on it
}


class EmulatedNetwork:
    """The network of one run: Mininet's objects from the constructor on, all else from `start`.

    It forwards nothing before a controller connects.
    """

    def __init__(
        self,
        topology: type[Topo],
        access_points: Sequence[str],
        clients: Sequence[str],
        settings: Experiment,
    ) -> None:
        self.access_points = tuple(access_points)
        self.clients = tuple(clients)
        self._settings = settings
        set_sysctl()
        topo = build_topo(topology, self.access_points)
        Mininet.inited = True  # its init() would raise limits of the whole machine
        kinds = {"switch": Switch, "host": Host, "link": VethLink, "intf": VethIntf}
        self.mininet = Mininet(topo=topo, **kinds, controller=None, build=False, autoSetMacs=True)
        self.mininet.addController(
            "c0", controller=RemoteController, ip=addresses.CONTROLLER_ADDRESS, port=CONTROLLER_PORT
        )
        for client in self.clients:
            self.mininet.addHost(client, ip=None)
        self.mininet.build()
        self.delay = kernel_delay.find(settings, self.mininet.links)
        self.air = Air(settings.wireless, self.delay.of_wireless_s, settings.compute.dilation)
        self.mininet.nameToNode[self.air.node.name] = self.air.node
        self._openvswitches: OpenVSwitches | None = None
        self._netlink: dict[str, IPRoute] = {}

    def start(self) -> None:
        """Make what Mininet's objects stand for: links, addresses, switches, rates."""
        ours = [each for each in self.mininet.switches if isinstance(each, Switch)]
        switches = self._openvswitches = OpenVSwitches(scratch_folder() / "switches", ours)
        veths.create(self.mininet.links)
        for host in self.mininet.hosts:
            self._set_up_host(host)
        switches.start(self.mininet.controllers)
        for switch in self.mininet.switches:
            ports = {each.name: each for each in switch.intfList() if each.name != "lo"}
            if not isinstance(switch, Switch):  # a topology's own kind
                switch.start(self.mininet.controllers)
                _keep_queues(ports)
            with inside_network(namespace_of(switch)):
                shaping.apply({name: self._shape(port) for name, port in ports.items()})
        for host in self.mininet.hosts:
            if host.name not in self.clients:
                interface = host.defaultIntf()
                with inside_network(namespace_of(host)):
                    shaping.apply({interface.name: self._shape(interface)})

    def node(self, name: str) -> Node:
        """Return a Mininet node by name."""
        return self.mininet.nameToNode[name]

    def namespace(self, name: str) -> Path:
        """Return the file of a host's network namespace."""
        return namespace_of(self.node(name))

    def address(self, name: str) -> str:
        """Return the IPv4 address of a host or client."""
        if name in self.clients:
            return addresses.client_address(self.clients.index(name) + 1)
        return str(self.node(name).IP())

    def addresses(self) -> dict[str, str]:
        """Return the addresses of access points, master and clients by name."""
        names = (*self.access_points, MASTER, *self.clients)
        return {name: self.address(name) for name in names}

    def backhaul_ports(
        self, distant: Mapping[str, str] | None = None
    ) -> dict[Path, dict[int, str]]:
        """Return the ports that lead to servers, {namespace: {index: server}}.

        `distant` servers are at no access point, but at other hosts.
        """
        ports: dict[Path, dict[int, str]] = {}
        at = {access_point: access_point for access_point in self.access_points}
        for server, host in (at | dict(distant or {})).items():
            port = self._switch_port(host)
            namespace = namespace_of(port.node)
            index = interface_index(namespace, port.name)
            ports.setdefault(namespace, {})[index] = server
        return ports

    def forget_cached_flows(self, access_points: Iterable[str]) -> None:
        """Have the switches of these access points go by their tables as they are now."""
        for access_point in access_points:
            switch = self._switch_port(access_point).node
            if isinstance(switch, Switch) and switch.openvswitch is not None:
                switch.openvswitch.forget_cached_flows()

    def describe(self) -> routes.Network:
        """Return what a controller needs to know of the network."""
        switches = {switch.name: int(switch.dpid, 16) for switch in self.mininet.switches}
        links, hosts = [], {}
        for link in self.mininet.links:
            ends = (link.intf1, link.intf2)
            a, b = sorted(ends, key=lambda end: end.node.name not in switches)
            a_end = a.node.name, a.node.ports[a]
            if b.node.name in switches:
                b_end, rate_bps = (b.node.name, b.node.ports[b]), self._shape(a).rate_bps
                links.append(routes.Link(*a_end, *b_end, rate_bps))
            else:
                hosts[b.node.name] = routes.WiredHost(b.IP(), b.MAC(), *a_end)
        clients = {client: routes.WirelessClient(self.address(client)) for client in self.clients}
        return routes.Network(switches, tuple(links), hosts, clients)

    def close(self) -> None:
        """End the switches and close sockets; the sandbox removes everything else."""
        if self._openvswitches is not None:
            self._openvswitches.close()
        self.air.close()
        for netlink in self._netlink.values():
            netlink.close()

    def _switch_port(self, host: str) -> Intf:
        """Return the other end of a host's link."""
        link = self.node(host).defaultIntf().link
        return link.intf1 if link.intf2.node.name == host else link.intf2

    def _shape(self, interface: Intf) -> Shape:
        backhaul = self._settings.backhaul
        ends = (interface.link.intf1.node.name, interface.link.intf2.node.name)
        wireless_bps = backhaul.wireless_links(self.access_points)
        rate_bps = link_rate_bps(ends, interface.params, backhaul.link_bps, wireless_bps)
        delay_s = self.delay.of_backhaul_s(interface.params)
        return backhaul_shape(backhaul, rate_bps, delay_s, self._settings.compute.dilation)

    def _set_up_host(self, host: Node) -> None:
        with inside_network(namespace_of(host)):
            set_sysctl()
        netlink = self._netlink[host.name] = netlink_of(host)
        netlink.link("set", ifname="lo", state="up")
        if host.name in self.clients:
            number = self.clients.index(host.name) + 1
            address = addresses.client_address(number)
            index = self.air.add_client(host, netlink, addresses.client_mac(number), address)
        else:
            address = host.IP()
            index = interface_index(namespace_of(host), host.defaultIntf().name)
            netlink.link("set", index=index, gso_max_segs=SEGMENT_FRAMES)
            if not isinstance(host, Host):  # a topology's own kind has set its address already
                netlink.flush_addr(index=index)
            if host.name in self.access_points:
                self.air.add_access_point(host, netlink)
        give_address(netlink, index, address)


def _keep_queues(ports: Iterable[str]) -> None:
    """Have Open vSwitch leave the ports' queues alone; by default it deletes them."""
    command = ["ovs-vsctl", "--timeout=30", "--id=@noop", "create", "qos", "type=linux-noop"]
    for port in ports:
        command += ["--", "set", "port", port, "qos=@noop"]
    background.run(command, "ovs-vsctl cannot set linux-noop")


def give_address(netlink: IPRoute, index: int, address: str) -> None:
    """Give an interface a host's address, with everything else behind the gateway."""
    netlink.addr("add", index=index, address=address, prefixlen=32)
    gateway, mac = addresses.GATEWAY, addresses.GATEWAY_MAC
    netlink.neigh("replace", dst=gateway, lladdr=mac, ifindex=index, state="permanent")
    netlink.route("replace", dst="default", gateway=gateway, oif=index, flags=["onlink"])


def set_sysctl() -> None:
    """Have this thread's network namespace route, and speak no IPv6."""
    for name, value in _SYSCTL.items():
        path = Path("/proc/sys/net", name)
        if path.exists():  # a kernel without IPv6 has nothing to disable
            path.write_text(value)
