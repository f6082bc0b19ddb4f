"""Clients' ways through a run, by hand: servers a, b, c at 0, 100, 200 m, steps of 2 s.

The model has two layers of 1 and 2 MB, and a megabyte takes a second on the uplink.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from testbed.config import Migration
from testbed.errors import ConfigurationError
from testbed.mobility.predictor import Candidates, FloatArray, Predictor
from testbed.policies import Cloud, Ionn, Optimal, PerDnn, Policy, Pull, Routing, Situation
from testbed.simulation.backhaul import Limited
from testbed.simulation.carrier import Carrier, Unlimited
from testbed.simulation.foresight import Client, Foresight
from testbed.simulation.log import Log, Moved
from testbed.simulation.roaming import Roaming
from testbed.simulation.stream import Stream
from testbed.simulation.world import World
from testbed.values import AccessPoint, Offer
from tests.mobility.walks import on_line
from tests.simulation.test_attachment import chain

A, B, C = range(3)
PLACES = tuple(
    AccessPoint(name, x_m, 0.0) for name, x_m in zip("abc", (0.0, 100.0, 200.0), strict=True)
)
STEP_S = 2.0
MB = 1_000_000


class Next(Predictor):
    """Expects everyone at the next server: 100 m further."""

    def __init__(self) -> None:
        super().__init__(1)

    def fit(self, paths: Sequence[FloatArray], servers_m: FloatArray) -> None:
        pass

    def predict(self, recent: FloatArray) -> FloatArray:
        return recent[:, -1] + (100.0, 0.0)

    def candidates(self, recent: FloatArray) -> Candidates:
        nobody = np.full((len(recent), 1), -1)
        return Candidates(nobody, np.zeros((len(recent), 1, 5)))


def walk(
    policy: Policy,
    attached: Sequence[int],
    *,
    retain: bool = False,
    first: int = 0,
    duration_s: float | None = None,
    carrier: Carrier | None = None,
    details: bool = True,
    gap_s: float = 0.5,
) -> Log:
    """Let a client walk from server to server, one step at each entry, and return its log.

    Without details it sleeps where it can.
    """
    world = World(
        access_points=PLACES,
        policy=policy,
        stream=Stream(chain(), [(0,), (1,)]),
        interval_s=STEP_S,
        duration_s=duration_s or STEP_S * (first + len(attached)),
        gap_s=gap_s,
        sharing="separate",
        retain_uploads=retain,
    )
    client = Client("walker", first, on_line(*(100.0 * each for each in attached)), tuple(attached))
    foresight = Foresight(Next(), PLACES, [client], policy.reach_m)
    roaming = Roaming(world, 0, client, first * STEP_S, details=details)
    expected = foresight.between(0, client.leaves)
    for step in range(client.enters, client.leaves):
        if step < roaming.wakes:
            continue
        orders = roaming.begin(step, world.step_s(step), expected)
        (carrier or Unlimited()).carry(orders, world.step_s(step), world.step_s(step + 1))
        for order in orders:
            roaming.end(order)
        roaming.settle(step)
    roaming.finish(world.duration_s)
    return roaming.log


def perdnn(ttl_intervals: int = 5) -> PerDnn:
    return PerDnn(Migration(radius_m=50.0, ttl_intervals=ttl_intervals))


def moves(log: Log) -> list[tuple[int, int, float, bool]]:
    return [(each.step, each.destination, each.present_bytes, each.hit) for each in log.handovers]


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
@pytest.mark.parametrize("retain", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_who_sleeps_finds_what_who_reports_at_each_step_does(
    seed: int, retain: bool, kind: type[PerDnn]
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
                retain=retain,
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
    log = walk(Ionn(Migration()), [A, A, B, B, A], retain=True)
    assert moves(log)[-1] == (4, A, 3.0 * MB, True)


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


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": (1, 0)}, "the layers are no prefix"),
        ({"destination": "nowhere"}, "which are not both access points"),
        ({"destination": "cloud"}, "which are not both access points"),
        ({"ends_s": 1.0}, "in the simulator all end with the interval"),
        ({"ends_s": None}, "in the simulator all end with the interval"),
        ({"until_s": float("nan")}, "an offer for walker until nan s, made at 0 s for walker"),
        ({"until_s": "soon"}, "these are no offers"),
        ({"client": "another"}, "made at 0 s for walker"),
        ({"layers": (), "destination": "c"}, "two offers to one server"),
    ],
)
def test_offers_that_are_not_simulated_are_refused(changes: dict[str, object], said: str) -> None:
    class Odd(Policy):
        def offers(self, situation: Situation) -> list[Offer]:
            plan, ends_s = tuple(situation.plan("b")), situation.ends_s
            plain = Offer("walker", situation.current, "b", plan, ends_s, situation.until_s)
            odd = replace(plain, **changes)
            return [odd] * (2 if odd.destination == "c" else 1)

    with pytest.raises(ConfigurationError, match=f"Odd: .*{said}"):
        walk(Odd(Migration()), [A, A])


@pytest.mark.parametrize("server", ["nowhere", "cloud", None])
def test_nobody_is_served_by_what_is_no_access_point(server: str) -> None:
    class Odd(Ionn):
        def serving(self, access_point: str, before: str | None) -> str:
            return server

    with pytest.raises(ConfigurationError, match="serves clients, which is no access point"):
        walk(Odd(Migration()), [A, A])


def test_a_server_that_shall_hold_what_it_has_is_sent_nothing() -> None:
    class Hold(Policy):
        def offers(self, situation: Situation) -> list[Offer]:
            here = situation.current
            return [Offer("walker", here, here, (), situation.ends_s, situation.until_s)]

    log = walk(Hold(Migration()), [A, A, B, A])
    assert not log.sent
    assert moves(log)[-1] == (3, A, 3.0 * MB, True)


def test_who_arrives_has_its_layers_fetched_from_the_server_before() -> None:
    """In the paper's network they are there at once; the upload goes on behind them."""
    log = walk(Pull(Migration()), [A, B, B, C])
    assert moves(log) == [(0, A, 0.0, False), (1, B, 0.0, False), (3, C, 0.0, False)]
    assert log.sent == [(1, A, B, 1.0 * MB), (3, B, C, 3.0 * MB)]
    uploads = [(each.server, each.from_bytes, each.to_bytes, each.until_s) for each in log.uploads]
    assert uploads[0] == (A, 0.0, 2.0 * MB, 2.0)
    assert uploads[1] == (B, 1.0 * MB, 3.0 * MB, 4.0)
    assert uploads[2][1:3] == (3.0 * MB, 3.0 * MB)
    cold = [each.queries.cold_start for each in log.answers if each.server == C]
    assert cold and not any(cold)  # the first query at c is raised after they arrived


def test_layers_that_are_fetched_over_a_slow_backhaul_come_one_by_one() -> None:
    """At 2 MB a second b has the first layer after half a second; it lacks half a megabyte."""
    slow = Limited(lambda source, destination: (0,), [2.0 * MB])
    log = walk(Pull(Migration()), [A, A, B, B], carrier=slow)
    assert log.sent == [(2, A, B, 3.0 * MB)]
    (order,) = [each for each in log.orders if each.sent_bytes]
    ends = [(each.time_s, each.end_bytes) for each in order.arrivals([MB, 3 * MB])]
    assert ends == [(4.5, MB), (5.5, 3 * MB)]
    upload = log.uploads[-1]
    assert upload.to_bytes == 3.0 * MB and upload.until_s == 5.5


def test_a_server_that_is_being_sent_layers_sends_on_what_it_had() -> None:
    class Both(Policy):
        def offers(self, situation: Situation) -> list[Offer]:
            pull = Pull(self.settings).offers(situation)
            return [*pull, *PerDnn(self.settings).offers(situation)]

    log = walk(Both(Migration(radius_m=50.0)), [A, A, A, B, B])
    assert (3, A, B, 3.0 * MB) not in log.sent  # it was there already, migrated ahead
    assert log.sent[-1][1:3] == (B, C)


def test_a_client_that_stays_with_its_server_goes_through_the_backhaul() -> None:
    """Its upload goes on where it was, and so do its queries."""
    log = walk(Routing(Migration()), [A, B, B, A])
    assert moves(log) == [(0, A, 0.0, False), (1, B, 2.0 * MB, False), (3, A, 3.0 * MB, True)]
    assert {each.server for each in log.answers} == {A}
    assert [(each.step, each.access_point, each.server) for each in log.routed] == [
        (1, B, A),
        (2, B, A),
    ]
    assert [each.uploaded_bytes for each in log.routed] == [1.0 * MB, 0.0]
    stays = walk(Routing(Migration()), [A, A, A, A])
    assert (log.queries, log.cold_start_queries) == (stays.queries, stays.cold_start_queries)
    at_b = [each.queries for each in log.answers]
    sent_bytes = sum(
        step.up_bytes
        for queries in at_b
        for number in range(queries.number)
        for step in queries.steps
        if STEP_S <= queries.first_s + number * queries.period_s < 3 * STEP_S
    )
    assert sum(each.up_bytes for each in log.routed) == sent_bytes > 0


def test_the_cloud_has_everything_and_is_at_no_access_point() -> None:
    log = walk(Cloud(Migration()), [A, B])
    assert all(hit for *_, hit in moves(log))
    assert {each.server for each in log.answers} == {len(PLACES)}
    assert [each.server for each in log.routed] == [len(PLACES)] * 2
