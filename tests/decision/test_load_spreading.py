"""Twenty clients come one after the other to where they see several servers (section III.C.2)."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from testbed.decision.coordinator import Coordinator
from testbed.decision.policies import Ionn
from testbed.dnn.devices.device_file import ProfiledLayer
from testbed.dnn.devices.device_profile import DeviceProfile
from testbed.dnn.graph import Layer, LayerGraph, TensorSpec
from testbed.gpu.accelerator import Accelerator, Work
from testbed.gpu.estimation.server_times import ServerTimes
from testbed.gpu.stats import ServerStats
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
    """Let the clients come, choose once, and raise queries; return who is where, and query times.

    All in virtual time: events are arrivals and queries, and the accelerators' completions.
    """
    coordinator = Coordinator(
        access_points=[AccessPoint(name, 10.0 * i, 0.0) for i, name in enumerate(SERVERS)],
        predictor=Stay(1),
        policy=Ionn(Migration()),
        server_times=server_times.layer_times,
        rates_bps=(35e6, 50e6),
        interval_s=30.0,
        gap_s=0.5,
    )
    accelerators = {server: Accelerator() for server in SERVERS}
    where: dict[str, str] = {}
    raised: dict[tuple[str, int], tuple[str, float]] = {}
    query_s: list[float] = []
    events = [(ARRIVAL_S * number, f"c{number}") for number in range(CLIENTS)]
    while True:
        completing = min(SERVERS, key=lambda name: accelerators[name].next_completion_s())
        completes_s = accelerators[completing].next_completion_s()
        if min(events[0][0] if events else np.inf, completes_s) > END_S:
            return Counter(where.values()), query_s
        if not events or completes_s <= events[0][0]:
            for ticket, done_s in accelerators[completing].advance(completes_s):
                client, raised_s = raised.pop((completing, ticket))
                query_s.append(done_s - raised_s)
                heapq.heappush(events, (done_s + QUERY_GAP_S, client))
            continue
        now_s, client = heapq.heappop(events)
        if client not in where:
            loads = {name: server.read(now_s) for name, server in accelerators.items()}
            coordinator.register(client, GRAPH, CLIENT_S, ())
            where[client] = choose(coordinator, client, loads)
        server = where[client]
        ticket = accelerators[server].submit(now_s, client, Work.of(sum(SERVER_S)))
        raised[server, ticket] = client, now_s


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
