"""Twenty clients come one after the other to where they see several servers (section III.C.2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from testbed.decision.coordinator import Coordinator
from testbed.decision.policies import Ionn
from testbed.dnn.devices.device_file import ProfiledLayer
from testbed.dnn.devices.device_profile import DeviceProfile
from testbed.dnn.graph import Layer, LayerGraph, TensorSpec
from testbed.gpu.accelerator import Work
from testbed.gpu.estimation.server_times import ServerTimes
from testbed.gpu.stats import ServerStats
from testbed.gpu.virtual_servers import Execution, Process, VirtualServers
from testbed.mobility.positions import Stay
from testbed.settings.experiment import Migration
from testbed.values import AccessPoint

CLIENTS = 20
SERVERS = ("near", "far", "farther", "farthest")
ARRIVAL_S, END_S = 3.0, 90.0
QUERY_GAP_S = 0.5
SERVER_S = (0.02, 0.05, 0.03)
CLIENT_S = (2.0, 5.0, 3.0)
LAYERS = tuple(Layer(f"conv{i}", "Convolution", (i - 1,), 1_000_000, 10_000) for i in range(3))
GRAPH = LayerGraph("three", LAYERS, (TensorSpec("x", (10_000,), "uint8"),), 10_000, (2,))

Choice = Callable[[Coordinator, str, dict[str, ServerStats]], str]


@pytest.fixture(scope="module")
def server_times() -> ServerTimes:
    """The execution-time estimator of servers on which the model was measured."""
    layers = tuple(
        ProfiledLayer(
            model=GRAPH.model,
            layer=layer.name,
            kind=layer.kind,
            multiply_adds=layer.multiply_adds,
            input_bytes=GRAPH.input_bytes_of(index),
            weight_bytes=layer.weight_bytes,
            output_bytes=layer.output_bytes,
            time_s=SERVER_S[index],
        )
        for index, layer in enumerate(LAYERS)
    )
    return ServerTimes.train(DeviceProfile({"device": "slow"}, layers))


def least_time(coordinator: Coordinator, client: str, loads: dict[str, ServerStats]) -> str:
    return coordinator.choose(client, SERVERS, loads)[0]


def nearest(coordinator: Coordinator, client: str, loads: dict[str, ServerStats]) -> str:
    return SERVERS[0]


def in_turn(coordinator: Coordinator, client: str, loads: dict[str, ServerStats]) -> str:
    """The evenest spread there is, made without any estimate."""
    return SERVERS[int(client[1:]) % len(SERVERS)]


def run(server_times: ServerTimes, choose: Choice) -> tuple[Counter[str], list[float]]:
    """Let clients come, choose once, and raise queries; return who is where, and query times."""
    coordinator = Coordinator(
        access_points=[AccessPoint(name, 10.0 * i, 0.0) for i, name in enumerate(SERVERS)],
        predictor=Stay(1),
        policy=Ionn(Migration()),
        server_times=server_times.layer_times,
        rates_bps=(35e6, 50e6),
        interval_s=30.0,
        gap_s=0.5,
    )
    servers = VirtualServers(SERVERS)
    where: dict[str, str] = {}
    query_s: list[float] = []

    def visit(client: str, arrives_s: float) -> Process:
        raised_s = yield arrives_s
        coordinator.register(client, GRAPH, CLIENT_S, ())
        server = choose(coordinator, client, {name: servers.load(name) for name in SERVERS})
        where[client] = server
        while True:
            answered_s = yield Execution(server, client, Work.of(sum(SERVER_S)))
            query_s.append(answered_s - raised_s)
            raised_s = yield QUERY_GAP_S

    for number in range(CLIENTS):
        servers.start(visit(f"c{number}", ARRIVAL_S * number))
    servers.run(END_S)
    return Counter(where.values()), query_s


def test_clients_spread_over_the_servers_that_they_see_and_wait_less(
    server_times: ServerTimes,
) -> None:
    spread, spread_s = run(server_times, least_time)
    assert spread.total() == CLIENTS
    assert set(spread) == set(SERVERS)
    assert max(spread.values()) < CLIENTS / 2
    even, even_s = run(server_times, in_turn)
    assert set(even.values()) == {CLIENTS // len(SERVERS)}
    assert np.mean(spread_s) < 1.1 * np.mean(even_s)
    crowded, crowded_s = run(server_times, nearest)
    assert crowded == {SERVERS[0]: CLIENTS}
    assert len(spread_s) > len(crowded_s)
    assert np.mean(spread_s) < 0.5 * np.mean(crowded_s)
    assert np.min(spread_s) == pytest.approx(sum(SERVER_S))  # alone, at first
