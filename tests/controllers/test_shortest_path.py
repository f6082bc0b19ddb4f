from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from controllers.named import find_controller
from controllers.northbound import PortCounters
from controllers.routes import Network, changes, flow_tables, move
from testbed.errors import EmulationError
from tests.controllers.fake_flow_tables import FakeFlowTables, ring, tree
from tests.controllers.private_switches import (
    PREFIX,
    PrivateSwitches,
    RunningController,
    wait_until,
)

StartController = Callable[[Network], RunningController]

pytestmark = pytest.mark.emulation


def held(switches: PrivateSwitches, network: Network) -> dict[int, dict[str, object]]:
    return {dpid: dict(switches.flows(name)) for name, dpid in network.switches.items()}


@pytest.fixture
def network() -> Network:
    return tree(aggregations=2, per_aggregation=2)


@pytest.fixture
def controller(
    switches: PrivateSwitches, start_controller: StartController, network: Network
) -> RunningController:
    switches.build(network)
    running = start_controller(network)
    running.northbound.connect(20)
    switches.connect(network, running.port)
    return running


def test_a_ready_controller_has_filled_every_flow_table(
    switches: PrivateSwitches, controller: RunningController, network: Network
) -> None:
    ready = controller.northbound.wait_ready(20)
    tables = flow_tables(network)
    assert held(switches, network) == tables
    assert (ready.switches, ready.flows) == (3, sum(map(len, tables.values())))


def test_a_move_changes_exactly_what_the_routes_say(
    switches: PrivateSwitches, controller: RunningController, network: Network
) -> None:
    controller.northbound.wait_ready(20)
    expected = FakeFlowTables(network, flow_tables(network))
    for access_point in ("ap1", "ap2", "ap4", "ap4", "ap1"):
        moved = move(network, "c1", access_point)
        planned = changes(network, moved)
        for change in planned:
            expected.apply(change)
        result = controller.northbound.move("c1", access_point)
        assert result.flow_mods == len(planned)
        assert result.switches == len({change.dpid for change in planned})
        assert held(switches, network) == expected.tables == flow_tables(moved)
        network = moved


def test_a_ring_is_filled_and_moved_on_as_well(
    switches: PrivateSwitches, start_controller: StartController
) -> None:
    network = ring(4)
    switches.build(network)
    running = start_controller(network)
    running.northbound.connect(20)
    switches.connect(network, running.port)
    running.northbound.wait_ready(20)
    for access_point in ("ap1", "ap3"):
        running.northbound.move("c1", access_point)
        network = move(network, "c1", access_point)
        assert held(switches, network) == flow_tables(network)


def test_routes_count_what_follows_them(
    switches: PrivateSwitches, controller: RunningController, network: Network
) -> None:
    northbound = controller.northbound
    northbound.wait_ready(20)
    assert northbound.counters().flows == ()
    address = network.hosts["ap4"].address

    def packets(switch: str) -> int:
        counted = northbound.counters(flows=True).flows
        return sum(f.packets for f in counted if (f.switch, f.address) == (switch, address))

    before = {switch: packets(switch) for switch in ("s2", "s1", "s3")}
    switches.send("ap1", address, packets=3)
    wait_until(
        lambda: all(packets(switch) == count + 3 for switch, count in before.items()),
        "packets are not counted on their way",
    )


def test_counters_follow_packets_port_by_port_and_count_misses(
    switches: PrivateSwitches, controller: RunningController, network: Network
) -> None:
    northbound = controller.northbound
    northbound.wait_ready(20)
    before = northbound.counters()
    switches.send("ap1", network.hosts["ap4"].address, packets=3)
    switches.send("ap1", "10.99.0.1", packets=2)
    wait_until(
        lambda: northbound.counters().missed_packets["s2"] >= before.missed_packets["s2"] + 2,
        "misses are not counted",
    )
    after = northbound.counters()

    def sent(counted: tuple[PortCounters, ...], switch: str, neighbour: str) -> tuple[int, int]:
        (port,) = (p for p in counted if (p.switch, p.neighbour) == (switch, neighbour))
        return port.tx_packets, port.tx_bytes

    for switch, neighbour in (("s2", "s1"), ("s1", "s3"), ("s3", "ap4")):
        packets, sizes = (
            now - then
            for now, then in zip(
                sent(after.ports, switch, neighbour),
                sent(before.ports, switch, neighbour),
                strict=True,
            )
        )
        assert (packets, sizes) == (3, 180)
    assert {p.neighbour for p in after.ports if p.switch == "s1"} == {"s2", "s3", "master"}


def test_a_switch_that_reconnects_gets_the_table_of_now(
    switches: PrivateSwitches, controller: RunningController, network: Network
) -> None:
    controller.northbound.wait_ready(20)
    controller.northbound.move("c1", "ap3")
    now = flow_tables(move(network, "c1", "ap3"))
    switches.call("ovs-vsctl", "del-controller", f"{PREFIX}s3")
    switches.call("ovs-ofctl", "-O", "OpenFlow13", "del-flows", f"{PREFIX}s3")
    switches.connect(network, controller.port)
    wait_until(lambda: switches.flows("s3") == now[3], "the table did not come back")
    controller.northbound.wait_ready(20)


def test_what_cannot_be_done_is_an_error_that_says_why(
    switches: PrivateSwitches, start_controller: StartController, network: Network
) -> None:
    running = start_controller(network)
    with pytest.raises(EmulationError, match=r"s1 has not connected; s2 has not connected"):
        running.northbound.connect(20)
        running.northbound.wait_ready(0.1)
    with pytest.raises(EmulationError, match="is not connected"):
        running.northbound.move("c1", "ap1")
    with pytest.raises(EmulationError, match="unknown client 'c7'"):
        running.northbound.move("c7", "ap1")
    with pytest.raises(EmulationError, match="unknown access point 'ap9'"):
        running.northbound.move("c1", "ap9")
    assert running.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_controller_cleanly(
    controller: RunningController, number: signal.Signals
) -> None:
    controller.northbound.wait_ready(20)
    controller.process.send_signal(number)
    assert controller.process.wait(timeout=5) == 0
    assert not controller.socket.exists()
    assert "Traceback" not in controller.log.read_text()


def test_a_port_in_use_and_an_unusable_network_end_with_status_2(
    folder: Path, network: Network
) -> None:
    description = folder / "network.json"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*find_controller("shortest_path"), "--network", str(description)]
        command += ["--northbound", str(folder / "n"), "--port", str(taken.getsockname()[1])]
        for text, message in (
            ("{}", "description"),
            (msgspec.json.encode(network).decode(), "in use"),
        ):
            description.write_text(text)
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
            assert done.returncode == 2 and message in done.stderr, done.stderr
