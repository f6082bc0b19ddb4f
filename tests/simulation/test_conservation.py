"""Bytes are conserved: no transfer takes any away, and what was sent has arrived."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from testbed.decision.policies import Policy, Situation
from testbed.settings.experiment import Migration
from testbed.simulation.fluid.backhaul import Limited
from testbed.simulation.fluid.carrier import Carrier, Unlimited
from testbed.simulation.log import Log, Order
from testbed.values import Offer
from tests.simulation.walking import MB, PLACES, walk

NAMES = [place.name for place in PLACES]
ROUNDING = 1e-2  # bytes
SIZE_BYTES = 3 * MB


class Whims(Policy):
    """Offers some layers, from any server to any other, also from who has less."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(Migration())
        self._rng = rng

    def offers(self, situation: Situation) -> list[Offer]:
        rng, plan = self._rng, situation.plan(situation.current)
        return [
            situation.offer(server, plan[: rng.integers(0, 3)], str(rng.choice(NAMES)))
            for server in NAMES
            if rng.random() < 0.7
        ]


class Watched:
    """Carries as another does, and looks at each order before and after."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.behind = self.partial = 0  # orders from who had less at first; those that were cut

    def carry(self, orders: Sequence[Order], from_s: float, to_s: float) -> None:
        self._carrier.carry(orders, from_s, to_s)
        for order in orders:
            lacked = max(0.0, order.want_bytes - order.have_bytes)
            assert 0 <= order.sent_bytes <= lacked + ROUNDING
            assert order.arrived_bytes == pytest.approx(order.have_bytes + order.sent_bytes)
            assert from_s <= order.until_s <= to_s
            times_s = np.linspace(from_s, to_s, 9)
            if order.progress is not None:
                present = [order.progress.at(time_s) for time_s in times_s]
                assert (np.diff(present) >= 0).all() and present[0] >= order.have_bytes
            if order.sent_bytes:
                last = order.arrivals([MB, SIZE_BYTES])[-1]
                assert last.end_bytes == order.arrived_bytes and last.time_s <= order.until_s
            self.behind += order.supply.steps()[0][1] < order.have_bytes
            self.partial += order.sent_bytes > 0 and order.arrived_bytes not in (MB, SIZE_BYTES)


def carrier_of(rng: np.random.Generator) -> Watched:
    if rng.random() < 0.2:
        return Watched(Unlimited())
    links = [*rng.uniform(0.05, 2, 3) * MB]  # an uplink for each server
    return Watched(Limited(lambda source, destination: (source,), links))


def random_walk(seed: int) -> tuple[Log, Watched]:
    rng = np.random.default_rng(seed)
    attached = np.repeat(rng.integers(0, 3, 15), rng.integers(1, 6, 15)).tolist()
    carrier = carrier_of(rng)
    return walk(
        Whims(rng), attached, carrier=carrier, kept_s=float(rng.choice([0.0, 3.5, np.inf]))
    ), carrier


@pytest.mark.parametrize("seed", range(60))
def test_transfers_only_add_and_what_was_sent_has_arrived(seed: int) -> None:
    log, _ = random_walk(seed)
    present: dict[int, float] = {}  # by destination, after its last order
    present_step: dict[int, int] = {}
    for order in log.orders:
        assert order.have_bytes >= 0
        if order.destination in present and order.step == present_step[order.destination] + 1:
            # What the last step brought is there, unless it expired or the client came by
            assert order.have_bytes >= present[order.destination] - ROUNDING
        present[order.destination], present_step[order.destination] = (
            order.arrived_bytes,
            order.step,
        )
    assert sum(count for *_, count in log.sent) == pytest.approx(
        sum(order.sent_bytes for order in log.orders)
    )
    for upload in log.uploads:
        assert 0 <= upload.from_bytes <= upload.to_bytes + ROUNDING
        assert upload.to_bytes <= SIZE_BYTES


def test_the_walks_have_the_cases_that_matter() -> None:
    carriers = [random_walk(seed)[1] for seed in range(60)]
    assert sum(each.behind for each in carriers) > 100
    assert sum(each.partial for each in carriers) > 30
