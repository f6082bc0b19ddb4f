"""Migrations that share links, by hand."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from testbed.simulation.fluid.backhaul import Limited
from testbed.simulation.fluid.carrier import Carrier, Unlimited
from testbed.simulation.fluid.fairness import max_min
from testbed.simulation.fluid.growth import Supply
from testbed.simulation.log import Order
from testbed.simulation.roaming import Roaming

INF = float("inf")
NOBODY = cast("Roaming", SimpleNamespace())

#: Servers 0, 1, 2: an uplink each (links 0 to 2) and a downlink each (links 3 to 5), 10 bytes/s.
BACKHAUL = Limited(lambda source, destination: (source, 3 + destination), [10.0] * 6)


def order(
    source: int,
    destination: int,
    have: float = 0.0,
    want: float = 100.0,
    supply: Sequence[tuple[float, float]] = ((100.0, 1000.0),),
) -> Order:
    stepwise = SimpleNamespace(
        size_bytes=supply[-1][1],
        steps=lambda: supply,
        since_s=lambda count: next(at_s for at_s, there in supply if there >= count),
    )
    return Order(NOBODY, source, destination, 0, have, want, cast("Supply", stepwise))


def carried(carrier: Carrier, *orders: Order) -> list[tuple[float, float]]:
    """Return bytes sent and when that was over, in an interval from 100 to 130 s."""
    carrier.carry(orders, 100.0, 130.0)
    return [(each.sent_bytes, each.until_s) for each in orders]


@pytest.mark.parametrize(
    ("paths", "most", "expected"),
    [
        ([(0,), (0,)], (INF, INF), (5, 5)),
        ([(0,), (0,)], (2, INF), (2, 8)),
        ([(0, 1), (0,), (1,)], (INF, INF, INF), (2, 8, 2)),  # link 1 has 4
        ([(0,), ()], (INF, 7), (10, 7)),
        ([(0,), (0,)], (0, INF), (0, 10)),
        ([], (), ()),
    ],
)
def test_rates_are_max_min_fair(
    paths: list[tuple[int, ...]], most: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    rates = max_min(paths, np.array(most, dtype=float), np.array([10.0, 4.0]))
    assert rates.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(20))
def test_no_flow_can_have_more_without_taking_it_from_one_that_has_less(seed: int) -> None:
    rng = np.random.default_rng(seed)
    capacities = rng.uniform(1, 10, 8)
    paths = [tuple(rng.choice(8, rng.integers(1, 4), replace=False)) for _ in range(12)]
    most = rng.choice([1.0, 5.0, INF], 12)
    rates = max_min(paths, most, capacities)
    load = np.zeros(8)
    for path, rate in zip(paths, rates, strict=True):
        load[list(path)] += rate
    assert (load <= capacities * (1 + 1e-9)).all()
    for flow, path in enumerate(paths):
        has_all = rates[flow] >= most[flow] * (1 - 1e-9)
        bottleneck = any(
            load[link] >= capacities[link] * (1 - 1e-6)
            and rates[flow] >= max(r for p, r in zip(paths, rates, strict=True) if link in p) - 1e-9
            for link in path
        )
        assert has_all or bottleneck


def test_a_migration_alone_has_its_links_to_itself() -> None:
    assert carried(BACKHAUL, order(0, 1)) == [(100.0, 110.0)]


def test_two_from_one_server_take_twice_as_long() -> None:
    assert carried(BACKHAUL, order(0, 1), order(0, 2)) == [(100.0, 120.0), (100.0, 120.0)]


def test_what_one_leaves_the_other_has() -> None:
    small, large = order(0, 1, want=50.0), order(0, 2)
    assert carried(BACKHAUL, small, large) == [(50.0, 110.0), (100.0, 115.0)]


def test_what_is_there_already_is_not_sent_again() -> None:
    assert carried(BACKHAUL, order(0, 1, have=60.0)) == [(40.0, 104.0)]
    assert carried(BACKHAUL, order(0, 1, have=100.0)) == [(0.0, 100.0)]


#: 20 bytes are there, 60 after 10 s, and 150 after 29 s.
UPLOADING = ((100.0, 20.0), (110.0, 60.0), (129.0, 150.0))


def test_layers_that_the_source_gets_follow_as_they_come() -> None:
    """The first are through at 102 s, the next at 114 s, and of the last 10 bytes by the end."""
    assert carried(BACKHAUL, order(0, 1, supply=UPLOADING)) == [(70.0, 130.0)]
    assert carried(BACKHAUL, order(0, 1, supply=UPLOADING, want=60.0)) == [(60.0, 114.0)]
    assert carried(Unlimited(), order(0, 1, supply=UPLOADING)) == [(100.0, 129.0)]


def test_who_waits_for_layers_leaves_the_link_to_others() -> None:
    waiting, other = order(0, 1, supply=UPLOADING, want=60.0), order(0, 2, want=120.0)
    #   from 100 s both have 5 a second, from 104 s the other has all, from 110 s both have 5
    assert carried(BACKHAUL, waiting, other) == [(60.0, 118.0), (120.0, 118.0)]


def test_the_interval_ends_what_is_not_through() -> None:
    assert carried(BACKHAUL, order(0, 1, want=1000.0)) == [(300.0, 130.0)]


@pytest.mark.parametrize("carrier", [BACKHAUL, Unlimited()])
def test_a_source_that_has_less_than_the_destination_sends_nothing(carrier: Carrier) -> None:
    behind = order(0, 1, have=60.0, supply=((100.0, 10.0), (110.0, 30.0)))
    assert carried(carrier, behind) == [(0.0, 100.0)]


def test_a_source_begins_when_it_has_more_than_the_destination() -> None:
    behind = order(0, 1, have=60.0, supply=((100.0, 10.0), (110.0, 60.0), (120.0, 85.0)))
    assert carried(BACKHAUL, behind) == [(25.0, 122.5)]


def test_without_limits_all_is_there_at_once() -> None:
    assert carried(Unlimited(), order(0, 1), order(0, 2)) == [(100.0, 100.0), (100.0, 100.0)]
