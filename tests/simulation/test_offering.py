"""What comes of a policy's offers, by hand: servers a, b, c, d at 0, 100, 200, 300 m."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from testbed.arrays import FloatArray
from testbed.decision.policies import Ionn, Optimal, PerDnn, Policy, Situation, Visits
from testbed.mobility.neighbourhood import NOBODY
from testbed.mobility.positions import Stay
from testbed.mobility.predictor import Candidates
from testbed.settings.experiment import Migration
from testbed.simulation.offering import Foreseen, Offering, foresee, known_visits, offer
from testbed.values import AccessPoint, Offer
from tests.mobility.walks import on_line

A, B, C, D = range(4)
SERVERS_M = on_line(0, 100, 200, 300)
PLACES = tuple(
    AccessPoint(name, *place) for name, place in zip("abcd", SERVERS_M.tolist(), strict=True)
)
TTL = 5


def walk(
    attached: Sequence[int],
    predicted: Sequence[float],
    probable: Sequence[dict[int, float]] | None = None,
) -> Foreseen:
    """Return a walk from server to server: where it is expected (x), and visits within the TTL."""
    rows = probable or [{}] * len(predicted)
    assert len(attached) == len(rows) + 1 == len(predicted) + 1
    servers, probability = np.full((len(rows), 4), -1), np.zeros((len(rows), 4, 2))
    for step, row in enumerate(rows):
        servers[step, : len(row)] = list(row)
        probability[step, : len(row), 1] = list(row.values())
    return Foreseen(np.array(attached), on_line(*predicted), Candidates(servers, probability))


def within(radius_m: float, ttl_intervals: int = TTL) -> PerDnn:
    return PerDnn(Migration(radius_m=radius_m, ttl_intervals=ttl_intervals))


def test_circles_over_three_servers() -> None:
    #           expected   in 60 m    offers            goes to
    # at a        50       a b        b (transfer)      b: hit
    # at b       160       b c        c (transfer)      c: hit
    # at c       140       b c        b (renewal)       b: hit
    # at b         0       a          a (transfer)      b: stays
    # at b       130       b          -                 a: hit, held since
    # at a         0       a          -                 d: miss
    found = walk([A, B, C, B, B, A, D], [50, 160, 140, 0, 130, 0])
    assert offer(within(60.0), [found], PLACES) == Offering(
        predictions=6, handovers=5, hits=4, transfers=3, renewals=1
    )


@pytest.mark.parametrize(("stays", "hits"), [(4, 1), (5, 0)])
def test_an_offer_is_held_for_five_intervals_and_no_longer(stays: int, hits: int) -> None:
    """Offered at step 0 and never again; b is visited one interval after the last stay."""
    found = walk([A] * (stays + 1) + [B], [100] + [-900] * stays)
    assert offer(within(50.0), [found], PLACES) == Offering(stays + 1, 1, hits, 1, 0)


@pytest.mark.parametrize(("pause", "transfers", "renewals"), [(5, 1, 1), (6, 2, 0)])
def test_an_offer_within_the_time_to_live_renews_and_later_it_transfers_again(
    pause: int, transfers: int, renewals: int
) -> None:
    expected = [100, *[-900] * (pause - 1), 100]
    found = walk([A] * (len(expected) + 1), expected)
    assert offer(within(50.0), [found], PLACES) == Offering(
        len(expected), 0, 0, transfers, renewals
    )


def test_a_shorter_time_to_live_is_obeyed() -> None:
    found = walk([A, A, B], [100, -900])
    assert offer(within(50.0, ttl_intervals=1), [found], PLACES).hits == 0
    assert offer(within(50.0, ttl_intervals=2), [found], PLACES).hits == 1


def test_a_server_that_was_left_holds_nothing_that_was_not_offered() -> None:
    there_and_back = walk([A, B, A], [100, 0])
    assert offer(within(50.0), [there_and_back], PLACES) == Offering(2, 2, 2, 2, 0)
    unexpected = walk([A, B, A], [100, 100])
    assert offer(within(50.0), [unexpected], PLACES) == Offering(2, 2, 1, 1, 0)


def test_what_the_current_server_is_told_to_hold_is_a_renewal_and_makes_the_return_a_hit() -> None:
    policy = Visits(Migration(), Visits.Settings(offer_probability=0.5, keep_probability=0.1))
    at_a = {B: 0.6, A: 0.2}
    found = walk([A, B, A], [0, 0], [at_a, {B: 0.05, A: 0.05}])
    assert offer(policy, [found], PLACES) == Offering(2, 2, 2, transfers=1, renewals=1)


def test_visits_are_offered_at_one_probability_and_kept_at_another() -> None:
    policy = Visits(Migration(), Visits.Settings(offer_probability=0.5, keep_probability=0.1))
    told = [{B: 0.6, C: 0.4}, {B: 0.2, C: 0.2}, {B: 0.05, C: 0.6}]
    found = walk([A, A, A, B], [0, 0, 0], told)
    assert offer(policy, [found], PLACES) == Offering(3, 1, 1, transfers=2, renewals=1)


def test_each_walk_starts_with_nothing_held() -> None:
    first, second = walk([A, A], [100]), walk([A, B], [-900])
    assert offer(within(50.0), [first, second], PLACES) == Offering(2, 1, 0, 1, 0)


def test_without_migration_there_are_no_hits_and_the_bound_has_nothing_else() -> None:
    found = walk([A, B, B, A], [100, 100, 0])
    assert offer(Ionn(Migration()), [found], PLACES) == Offering(3, 2, 0, 0, 0)
    assert offer(Optimal(Migration()), [found], PLACES) == Offering(3, 2, 2, 0, 0)


def test_a_policy_that_overrides_offers_alone_is_asked_for_them() -> None:
    class ToB(Policy):
        def offers(self, situation: Situation) -> list[Offer]:
            client = situation.prediction.client
            return [Offer(client, situation.current, "b", (), situation.ends_s, situation.until_s)]

    found = walk([A, B], [0])
    assert offer(ToB(Migration()), [found], PLACES) == Offering(1, 1, 1, 1, 0)


def test_hit_ratios_are_of_all_handovers_together() -> None:
    total = Offering(1, 4, 1, 5, 6) + Offering(10, 4, 3, 50, 60)
    assert total == Offering(11, 8, 4, 55, 66)
    assert total.hit_ratio == 0.5
    assert math.isnan(Offering().hit_ratio)


def test_what_is_foreseen_begins_with_the_nth_position_and_ends_before_the_last() -> None:
    predictor = Stay(n=2)
    predictor.fit([on_line(0, 90, 110, 210)], SERVERS_M)
    paths: list[FloatArray] = [on_line(0, 90, 110, 210), on_line(5, 6)]
    (found,) = foresee(predictor, paths, SERVERS_M)
    assert found.predicted_m[:, 0].tolist() == [90, 110]
    assert found.attached.tolist() == [B, B, C]
    assert found.candidates.servers[:, 0].tolist() == [B, B]
    # Nobody moves as foreseen: c is never offered within 50 m
    assert offer(within(50.0), [found], PLACES) == Offering(2, 1, 0, 0, 0)


def told(foreseen: Foreseen) -> list[dict[int, list[float]]]:
    """Return the probabilities of visits at each step, by server."""
    return [
        {server: row for server, row in zip(*step, strict=True) if server != NOBODY}
        for step in zip(
            foreseen.candidates.servers.tolist(),
            foreseen.candidates.probability.tolist(),
            strict=True,
        )
    ]


def test_an_oracle_knows_who_visits_what_when() -> None:
    found = known_visits(walk([A, B, B, C, B], [0, 0, 0, 0]), 3)
    assert told(found) == [
        {B: [1, 1, 1], C: [0, 0, 1]},
        {B: [1, 1, 1], C: [0, 1, 1]},
        {C: [1, 1, 1], B: [0, 1, 1]},
        {B: [1, 1, 1]},
    ]
    nobody = found.candidates.servers == NOBODY
    assert (found.candidates.probability[nobody] == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_with_an_oracle_every_handover_is_a_hit_at_few_transfers(seed: int) -> None:
    attached = np.random.default_rng(seed).integers(4, size=40).tolist()
    policy = Visits(Migration(), Visits.Settings(offer_probability=1.0, keep_probability=1.0))
    found = offer(policy, [known_visits(walk(attached, [0] * 39), TTL)], PLACES)
    assert found.hits == found.handovers > 20
    # At most for each first visit, and each return after more than the time to live
    gaps = [
        step - max((s for s in range(step) if attached[s] == server), default=-100)
        for step, server in enumerate(attached)
    ]
    assert found.transfers <= sum(gap > TTL for gap in gaps[1:])
