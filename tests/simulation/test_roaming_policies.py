"""Clients' ways under policies of all kinds: those that fetch, hold, route or err."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from testbed.decision.policies import Cloud, Ionn, PerDnn, Policy, Pull, Routing, Situation
from testbed.errors import ConfigurationError
from testbed.settings.experiment import Migration
from testbed.simulation.fluid.backhaul import Limited
from testbed.values import Offer
from tests.simulation.walking import MB, PLACES, STEP_S, A, B, C, moves, walk


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
