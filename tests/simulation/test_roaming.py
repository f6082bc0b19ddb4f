"""Clients' ways through a run: what is uploaded, held, found and counted."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest
from msgspec.structs import replace

from testbed.decision.following import FollowMe
from testbed.decision.policies import Ionn, Optimal, PerDnn, Situation
from testbed.decision.popularity import Popular
from testbed.settings.experiment import Migration
from testbed.simulation.fluid.backhaul import Limited
from testbed.simulation.fluid.carrier import Unlimited
from testbed.simulation.log import Log, Moved
from testbed.values import Offer
from tests.mobility.walks import on_line
from tests.simulation.walking import MB, PLACES, STEP_S, A, B, C, moves, perdnn, walk


def test_layers_follow_as_they_are_uploaded_and_all_are_there_in_time() -> None:
    """The first layer is whole at 1 s, the second at 3 s: b has both when the client comes."""
    log = walk(perdnn(), [A, A, B])
    assert moves(log) == [(0, A, 0.0, False), (2, B, 3.0 * MB, True)]
    assert log.sent == [(0, A, B, 1.0 * MB), (1, A, B, 2.0 * MB), (2, B, C, 3.0 * MB)]


def test_who_leaves_early_finds_what_was_whole_and_uploads_the_rest() -> None:
    log = walk(perdnn(), [A, B, B])
    assert moves(log) == [(0, A, 0.0, False), (1, B, 1.0 * MB, False)]
    uploads = [(each.server, each.from_bytes, each.to_bytes, each.until_s) for each in log.uploads]
    assert uploads == [(A, 0.0, 2.0 * MB, 2.0), (B, 1.0 * MB, 3.0 * MB, 4.0)]


@pytest.mark.parametrize(("stays", "hit"), [(4, True), (5, True), (6, False)])
def test_layers_are_held_for_the_time_to_live(stays: int, hit: bool) -> None:
    """b is offered layers from a for the last time at step 1, and visited after a stay at c."""
    log = walk(perdnn(), [A, A, *[C] * (stays - 1), B])
    assert moves(log)[-1][1:] == (B, 3.0 * MB if hit else 0.0, hit)


class Lasting(PerDnn):
    """Offers hold for three intervals longer than the settings say."""

    memoryless = True

    def offers(self, situation: Situation) -> list[Offer]:
        return [
            replace(offer, until_s=offer.until_s + 3 * STEP_S)
            for offer in super().offers(situation)
        ]


@pytest.mark.parametrize("kind", [PerDnn, Lasting])
@pytest.mark.parametrize("kept_s", [0.0, 5.0, inf])
@pytest.mark.parametrize("seed", range(20))
def test_who_sleeps_finds_what_who_reports_at_each_step_does(
    seed: int, kept_s: float, kind: type[PerDnn]
) -> None:
    """Stays of many lengths, so that what was offered lasts or not.

    No query is raised just when a step begins: which of two it is in then, rounding decides.
    """
    rng = np.random.default_rng(seed)
    policy = kind(
        Migration(radius_m=float(rng.choice([50, 150])), ttl_intervals=int(rng.integers(1, 4)))
    )
    attached = np.repeat(rng.integers(0, 3, 12), rng.integers(1, 8, 12)).tolist()
    carriers = [Limited(lambda source, destination: (source,), [0.4 * MB] * 3), Unlimited()]
    for carrier in carriers:
        awake, asleep = (
            walk(
                *(policy, attached),
                kept_s=kept_s,
                carrier=carrier,
                details=details,
                gap_s=0.5 + 1e-4 * np.pi,
            )
            for details in (True, False)
        )
        assert counted(asleep) == counted(awake)
        assert sizes_bytes(asleep) == pytest.approx(sizes_bytes(awake), abs=1e-3)


def counted(log: Log) -> list[object]:
    moved = [(m.step, m.source, m.destination, m.hit, m.chosen, m.queries) for m in log.handovers]
    sent = [where for *where, count in log.sent if count > 1e-3]
    return [moved, sent, log.queries, log.cold_start_queries]


def sizes_bytes(log: Log) -> list[float]:
    present = [moved.present_bytes for moved in log.handovers]
    sent = [count for *_, count in log.sent if count > 1e-3]
    return [*present, *sent, log.stored_bytes, log.expired_bytes]


def test_without_migration_every_server_is_cold_and_hears_uploads_only() -> None:
    log = walk(Ionn(Migration()), [A, A, B, B, A])
    assert [hit for *_, hit in moves(log)] == [False] * 3
    assert not log.sent and not log.orders


def test_servers_may_retain_what_was_uploaded() -> None:
    log = walk(Ionn(Migration()), [A, A, B, B, A], kept_s=inf)
    assert moves(log)[-1] == (4, A, 3.0 * MB, True)


@pytest.mark.parametrize(("stays", "hit"), [(2, True), (3, False)])
def test_servers_may_keep_what_is_there_for_a_time(stays: int, hit: bool) -> None:
    """a has all layers after 3 s, and keeps them for 5 s once the client has left."""
    log = walk(Ionn(Migration()), [A, A, *[B] * stays, A], kept_s=5.0)
    assert moves(log)[-1][2:] == (3.0 * MB if hit else 0.0, hit)
    assert not log.sent


def test_what_is_everywhere_from_the_start_is_never_uploaded() -> None:
    log = walk(Optimal(Migration()), [A, B, C])
    assert all(hit for *_, hit in moves(log))
    assert [each.to_bytes - each.from_bytes for each in log.uploads] == [0.0] * 3
    assert log.cold_start_queries == 0


def test_a_client_that_enters_later_begins_then() -> None:
    log = walk(perdnn(), [A, A, B], first=3)
    assert moves(log) == [(3, A, 0.0, False), (5, B, 3.0 * MB, True)]
    assert log.answers[0].queries.first_s == 3 * STEP_S


def test_queries_are_counted_in_the_interval_after_a_change() -> None:
    """At b a query takes 0.81 s and the next comes 0.5 s later; the one in flight ends first."""
    log = walk(perdnn(), [A, A, B, B])
    first, moved = log.handovers
    assert isinstance(moved, Moved)
    raised = [
        each.queries.first_s + number * each.queries.period_s
        for each in log.answers
        for number in range(each.queries.number)
    ]
    assert moved.queries == sum(2 * STEP_S <= time_s < 3 * STEP_S for time_s in raised)
    assert first.queries == sum(time_s < STEP_S for time_s in raised)
    assert log.queries == len(raised)


def test_a_query_that_is_not_answered_before_the_end_does_not_count() -> None:
    """It is raised at a, takes 3 s at the client, and the run is over after 2.5."""
    assert walk(Ionn(Migration()), [A, B]).queries == 1
    log = walk(Ionn(Migration()), [A, B], duration_s=2.5)
    assert (log.queries, log.cold_start_queries, log.answers) == (0, 0, [])


def follow_me(threshold_m: float) -> FollowMe:
    policy = FollowMe(Migration(), FollowMe.Settings(threshold_m=threshold_m))
    policy.learn(PLACES, [])
    return policy


def test_a_service_that_follows_is_routed_to_first_and_then_fetched() -> None:
    """At b queries and the rest of the upload go to a; c, 200 m from a, fetches the layers."""
    log = walk(follow_me(150.0), [A, B, B, C, C])
    assert [each[1:] for each in moves(log)] == [
        (A, 0.0, False),
        (B, 2.0 * MB, False),
        (C, 0.0, False),
    ]
    assert log.sent == [(3, A, C, 3.0 * MB)]
    assert {each.queries and group.server for group in log.answers for each in [group]} == {A, C}
    assert [(each.access_point, each.server) for each in log.routed] == [(B, A)] * 2
    assert [each.uploaded_bytes for each in log.routed] == pytest.approx([1.0 * MB, 0.0])
    assert all(each.up_bytes > 0 for each in log.routed)


def test_what_is_fetched_while_queries_are_routed_is_no_upload() -> None:
    """c has some 2.8 MB when the client goes on to b; then the rest comes from both sides."""
    narrow = Limited(lambda source, destination: (source,), [1.4 * MB] * 3)
    log = walk(follow_me(150.0), [A, A, A, C, B, B], carrier=narrow)
    assert [(each.access_point, each.server) for each in log.routed] == [(B, C)] * 2
    uploaded = [each.uploaded_bytes for each in log.routed]
    assert uploaded == pytest.approx([0.03 * MB, 0.0], abs=0.02 * MB)


def test_popular_servers_have_everything_and_others_nothing() -> None:
    policy = Popular(Migration(), Popular.Settings(servers=1))
    policy.learn(PLACES, [on_line(100.0, 100.0)])
    log = walk(policy, [A, B, A, B])
    assert [hit for *_, hit in moves(log)] == [False, True, False, True]
    assert not log.sent
