from __future__ import annotations

import random

import msgspec
import pytest

from controllers.routes import (
    FlowAction,
    Link,
    Network,
    changes,
    decode_network,
    flow_tables,
    move,
    neighbours,
)
from testbed.errors import ConfigurationError, TopologyError
from tests.controllers.fake_flow_tables import (
    Delivery,
    FakeFlowTables,
    LoopError,
    deep_tree,
    mesh,
    network_of,
    pairs,
    ring,
    tree,
)

NETWORKS = pytest.mark.parametrize("network", [tree(), deep_tree(), ring(5), ring(6), mesh()])


def access_points(network: Network) -> list[str]:
    return [name for name in network.hosts if name.startswith("ap")]


def arrival(network: Network, access_point: str) -> Delivery:
    return Delivery(access_point, network.hosts[access_point].mac)


@NETWORKS
def test_every_host_reaches_every_other_with_its_own_mac(network: Network) -> None:
    fake = FakeFlowTables(network, flow_tables(network))
    for source, goal in pairs(list(network.hosts)):
        host = network.hosts[goal]
        assert fake.follow(source, host.address) == Delivery(goal, host.mac)


@NETWORKS
def test_a_client_is_reached_at_its_access_point(network: Network) -> None:
    network = move(network, "c1", "ap3")
    fake = FakeFlowTables(network, flow_tables(network))
    for source in network.hosts:
        expected = None if source == "ap3" else arrival(network, "ap3")
        assert fake.follow(source, "10.1.0.1") == expected


def test_an_unattached_client_has_no_route() -> None:
    network = tree()
    assert all("10.1.0.1" not in table for table in flow_tables(network).values())


@NETWORKS
def test_no_packet_loops_or_is_lost_at_any_moment_of_a_handover(network: Network) -> None:
    for old, new in pairs(access_points(network)):
        before, after = move(network, "c1", old), move(network, "c1", new)
        fake = FakeFlowTables(network, flow_tables(before))
        for change in changes(before, after):
            fake.apply(change)
            for source in network.hosts:
                arrived = fake.follow(source, "10.1.0.1")
                # A packet from the access point itself would go back by the port that it came from.
                dropped = (None,) if source in (old, new) else ()
                assert arrived in (*dropped, arrival(network, old), arrival(network, new))
        assert fake.tables == flow_tables(after)


@NETWORKS
def test_changes_at_the_same_distance_may_come_in_any_order(network: Network) -> None:
    rng = random.Random(1)
    for old, new in pairs(access_points(network)):
        before, after = move(network, "c1", old), move(network, "c1", new)
        fake = FakeFlowTables(network, flow_tables(before))
        for change in sorted(changes(before, after), key=lambda each: (each.hops, rng.random())):
            fake.apply(change)
            for source in network.hosts.keys() - {old, new}:
                assert fake.follow(source, "10.1.0.1") is not None


def test_changes_far_from_the_new_place_first_would_lose_packets() -> None:
    before, after = move(tree(), "c1", "ap1"), move(tree(), "c1", "ap6")
    fake = FakeFlowTables(before, flow_tables(before))
    fake.apply(changes(before, after)[-1])
    assert fake.follow("master", "10.1.0.1") is None


def test_changes_in_a_wrong_order_would_loop_in_a_ring() -> None:
    before, after = move(ring(6), "c1", "ap2"), move(ring(6), "c1", "ap5")
    fake = FakeFlowTables(before, flow_tables(before))
    of_switch = {change.dpid: change for change in changes(before, after)}
    for dpid in (2, 6, 1):  # the right order is 5, 4, 6, 1, 3, 2
        fake.apply(of_switch[dpid])
    with pytest.raises(LoopError):
        fake.follow("ap1", "10.1.0.1")


def test_a_handover_in_a_tree_changes_only_the_switches_between_the_two_places() -> None:
    before, after = move(tree(), "c1", "ap1"), move(tree(), "c1", "ap6")
    assert [(change.dpid, change.command) for change in changes(before, after)] == [
        (4, "modify"),
        (1, "modify"),
        (2, "modify"),
    ]


def test_a_handover_on_one_switch_changes_one_entry() -> None:
    before, after = move(tree(), "c1", "ap1"), move(tree(), "c1", "ap2")
    (change,) = changes(before, after)
    host = before.hosts["ap2"]
    assert (change.dpid, change.action) == (2, FlowAction(host.port, host.mac))


@NETWORKS
def test_a_first_attachment_adds_and_its_reverse_deletes_everywhere(network: Network) -> None:
    attached = move(network, "c1", "ap2")
    fake = FakeFlowTables(network, flow_tables(network))
    added, deleted = changes(network, attached), changes(attached, network)
    for change in added:
        fake.apply(change)
        assert fake.follow("master", "10.1.0.1") in (None, arrival(network, "ap2"))
    assert fake.tables == flow_tables(attached)
    for change in deleted:
        fake.apply(change)
        fake.follow("master", "10.1.0.1")
    assert fake.tables == flow_tables(network)
    assert {change.command for change in added} == {"add"}
    assert {change.command for change in deleted} == {"delete"}


def test_nothing_changes_when_a_client_stays() -> None:
    network = move(tree(), "c1", "ap1")
    assert changes(network, move(network, "c1", "ap1")) == []


def test_a_broken_ring_is_rerouted_without_loops() -> None:
    before = move(ring(), "c1", "ap3")
    after = msgspec.structs.replace(before, links=before.links[1:])
    fake = FakeFlowTables(before, flow_tables(before))
    for change in changes(before, after):
        fake.apply(change)
        for source, goal in pairs(list(before.hosts)):
            fake.follow(source, before.hosts[goal].address)
    assert fake.tables == flow_tables(after)


def test_paths_have_the_fewest_links_and_ties_go_to_the_lowest_datapath_id() -> None:
    network = network_of([(1, 2), (1, 3), (2, 4), (3, 4)], [4])
    first, second = network.links[0].a_port, network.links[1].a_port
    assert flow_tables(network)[1]["10.0.0.1"] == FlowAction(first)
    links = (
        network.links[0],
        msgspec.structs.replace(network.links[1], rate_bps=10e9),
        *network.links[2:],
    )
    faster = msgspec.structs.replace(network, links=links)
    assert flow_tables(faster)[1]["10.0.0.1"] == FlowAction(second)


def test_moving_an_unknown_client_or_to_an_unknown_access_point_names_the_known() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown client 'c3'.*c1, c2"):
        move(tree(), "c3", "ap1")
    with pytest.raises(ConfigurationError, match="unknown access point 'ap99'"):
        move(tree(), "c1", "ap99")


def test_ports_are_named_by_what_they_lead_to() -> None:
    named = neighbours(tree())
    assert set(named["s1"].values()) == {"s2", "s3", "s4", "master"}
    assert set(named["s2"].values()) == {"s1", "ap1", "ap2"}


def test_a_network_survives_json() -> None:
    network = move(ring(), "c2", "ap1")
    assert decode_network(msgspec.json.encode(network)) == network


def test_unusable_networks_are_refused_with_their_reason() -> None:
    network = tree()
    master = network.hosts["master"]
    replace = msgspec.structs.replace

    def refused(match: str, **fields: object) -> None:
        with pytest.raises(TopologyError, match=match):
            decode_network(msgspec.json.encode(replace(network, **fields)))

    refused("unknown switch 's9'", links=(Link("s1", 9, "s9", 1, 1e9),))
    refused("no path from switch s1 to s2, s3, s4", links=())
    refused("datapath id 1 is used twice", switches={**network.switches, "s2": 1})
    refused(
        "port 1 of s1 is used",
        hosts={**network.hosts, "m": replace(master, port=1, address="10.9.0.1")},
    )
    refused("address 10.2.0.1 is used", hosts={**network.hosts, "m": replace(master, port=77)})
    refused("MAC 'x'", hosts={**network.hosts, "master": replace(master, mac="x")})
    refused(
        "'10.300.0.1' is no",
        hosts={**network.hosts, "master": replace(master, address="10.300.0.1")},
    )
    with pytest.raises(TopologyError, match="description of the network"):
        decode_network(b"{}")
