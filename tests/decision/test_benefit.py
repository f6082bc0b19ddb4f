"""Layers where they are expected to gain most queries for their bytes.

The model: 3 MB gain 6 queries, 1 MB more gains another, and 2 MB more another half.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from testbed.decision.benefit import Benefit, increments
from testbed.decision.policy import Situation
from testbed.settings.experiment import Migration
from testbed.values import Prediction
from tests.decision.situations import VALUE, situation

LIKELY = {"near": (0.5, 0.6), "here": (0.3, 0.4), "beside": (0.05, 0.1), "far": (0.0, 0.02)}


def benefit(least: float, keep: float = 1.0, capacity_bps: float = 1e9) -> Benefit:
    own = Benefit.Settings(least_benefit=least, keep_probability=keep, capacity_bps=capacity_bps)
    return Benefit(Migration(), own)


def three_layers(given: Situation) -> Situation:
    return replace(given, plan=lambda server: (0, 1, 2))


def offered(policy: Benefit, given: Situation) -> dict[str, tuple[str, int]]:
    """Return the offers: destination to source and number of layers."""
    offers = policy.offers(three_layers(given))
    return {offer.destination: (offer.source, len(offer.layers)) for offer in offers}


def test_increments_gain_less_and_less_for_their_bytes() -> None:
    found = list(increments("near", 0.5, VALUE, 0.0))
    assert [each.layers for each in found] == [1, 2, 3]
    assert [each.queries_per_mb for each in found] == pytest.approx([1.0, 0.5, 0.125])
    assert [(each.starts_bytes, each.ends_bytes) for each in found] == [
        (0.0, 3e6),
        (3e6, 4e6),
        (4e6, 6e6),
    ]


def test_groups_that_gain_little_alone_go_together_with_what_follows() -> None:
    small_first = VALUE._replace(queries=VALUE.queries - (0.0, 5.5, 0.0, 0.0))
    first, second = increments("near", 1.0, small_first, 0.0)
    assert (first.layers, second.layers) == (2, 3)
    assert first.queries_per_mb == pytest.approx(7 / 4)


def test_what_is_there_already_costs_nothing() -> None:
    """Of the second group half is there: what it gains costs half as much."""
    found = list(increments("near", 1.0, VALUE, 3.5e6))
    assert [each.layers for each in found] == [2, 3]
    assert found[0].queries_per_mb == pytest.approx(1 / 0.5)
    assert list(increments("near", 1.0, VALUE, 6e6)) == []


@pytest.mark.parametrize(
    ("least", "expected"),
    [
        (0.1, {"near": ("here", 3), "beside": ("here", 1)}),
        (0.13, {"near": ("here", 2)}),
        (0.6, {"near": ("here", 1)}),
        (1.1, {}),
    ],
)
def test_front_layers_go_to_many_and_the_bulk_to_the_likely(
    least: float, expected: dict[str, tuple[str, int]]
) -> None:
    policy = benefit(least)
    assert offered(policy, situation(visits=LIKELY)) == expected
    assert set(policy.destinations(situation(visits=LIKELY))) == set(expected)


def test_what_is_held_is_kept_without_sending_while_a_visit_is_not_improbable() -> None:
    held = situation(visits=LIKELY, held_until_s={"far": 100.0, "beside": 59.0})
    kept = benefit(9.0, keep=0.02)
    assert offered(kept, held) == {"here": ("here", 0), "far": ("far", 0)}
    assert offered(benefit(9.0, keep=0.03), held) == {"here": ("here", 0)}


def test_what_a_server_has_whole_is_kept_and_not_offered_again() -> None:
    held = situation(visits=LIKELY, held_until_s={"near": 100.0}, held_bytes=6e6)
    assert offered(benefit(0.13, keep=0.1), held)["near"] == ("near", 0)


def test_nothing_is_ordered_that_the_source_will_not_have() -> None:
    """It can send nothing on before the interval's end: after 70 s it has 0.7 MB."""
    slow = situation(visits=LIKELY, up_bytes_s=1e4, held_until_s={"near": 100.0}, held_bytes=1e6)
    assert "near" not in offered(benefit(0.1), slow)


def test_the_best_goes_first_where_a_server_cannot_carry_all() -> None:
    """In 30 s at 1 Mbit/s 3.75 MB leave: the first 3 MB for near, and no more for it."""
    tight = benefit(0.01, capacity_bps=1e6)
    assert offered(tight, situation(visits=LIKELY)) == {"near": ("here", 1)}
    # Another client's report in the same interval finds nothing left
    assert offered(tight, situation(visits=LIKELY)) == {}
    later = three_layers(situation(visits=LIKELY))
    later = replace(later, prediction=Prediction("walker", 90.0, 0.0, 0.0), ends_s=120.0)
    assert offered(tight, later) == {"near": ("here", 1)}


def test_a_destination_cannot_take_more_than_its_capacity_from_all_together() -> None:
    tight = benefit(0.13, capacity_bps=1.2e6)  # 4.5 MB in an interval
    assert offered(tight, situation(visits=LIKELY)) == {"near": ("here", 2)}
    other = situation(current="far", visits={"near": (0.5, 0.6)})
    assert offered(tight, other) == {}


def test_nobody_near_means_no_offers() -> None:
    assert offered(benefit(0.01), situation(visits={})) == {}
