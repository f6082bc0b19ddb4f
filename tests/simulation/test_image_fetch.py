"""Servers that start from an image: it comes whole, and nothing is uploaded meanwhile."""

from __future__ import annotations

import pytest

from testbed.decision.images import Download, Handoff
from testbed.decision.policy import CLOUD
from testbed.settings.experiment import Migration
from testbed.simulation.fluid.backhaul import Limited
from testbed.simulation.fluid.carrier import Carrier, Unlimited
from testbed.simulation.log import Log
from tests.simulation.walking import MB, PLACES, A, B, C, moves, walk

CLOUD_NUMBER = len(PLACES)
WIDE = Limited(lambda source, destination: (source,), [1e3 * MB] * 4)


def download(mb_s: float) -> Download:
    return Download(Migration(), Download.Settings(cloud_bps=8e6 * mb_s))


def handoff(mb_s: float, image_mb: float = 3.0, cloud_mb_s: float = 1e3) -> Handoff:
    own = Handoff.Settings(image_mb=image_mb, image_bps=8e6 * mb_s, cloud_bps=8e6 * cloud_mb_s)
    return Handoff(Migration(), own)


def on_servers(log: Log) -> list[tuple[int, float, bool]]:
    """Server, time and whether layers executed there, of each group of queries."""
    return [
        (group.server, group.queries.first_s, any(step.on_server for step in group.queries.steps))
        for group in log.answers
    ]


@pytest.mark.parametrize("carrier", [Unlimited(), WIDE])
def test_a_server_executes_once_the_model_has_come_whole(carrier: Carrier) -> None:
    """3 MB at 1 MB/s take 3 s, at either server again; a query at the client takes 3 s."""
    log = walk(download(1.0), [A, A, A, B, B, B], carrier=carrier)
    assert moves(log) == [(0, A, 0.0, False), (3, B, 0.0, False)]
    assert log.sent == [
        (step, CLOUD_NUMBER, server, pytest.approx(size * MB))
        for step, server, size in ((0, A, 2.0), (1, A, 1.0), (3, B, 2.0), (4, B, 1.0))
    ]
    assert [each.to_bytes - each.from_bytes for each in log.uploads] == [0.0, 0.0]
    for server, first_s, there in on_servers(log):
        arrives_s = 3.0 if server == A else 9.0
        assert there == (first_s >= arrives_s), (server, first_s)
    assert {there for *_, there in on_servers(log)} == {False, True}


def test_who_leaves_before_has_nothing_and_begins_anew() -> None:
    log = walk(download(1.0), [A, B, A])
    assert [present for _, _, present, _ in moves(log)] == [0.0] * 3
    assert [count for *_, count in log.sent] == pytest.approx([2.0 * MB] * 3)
    assert not any(there for *_, there in on_servers(log))
    assert log.cold_start_queries == log.queries


def test_a_server_may_keep_what_it_has_downloaded() -> None:
    log = walk(download(3.0), [A, A, B, A], kept_s=5.0)
    assert moves(log)[-1] == (3, A, 3.0 * MB, True)


@pytest.mark.parametrize("carrier", [Unlimited(), WIDE])
def test_an_image_moves_with_the_client_from_who_had_it_last(carrier: Carrier) -> None:
    """6 MB: at once from the cloud, then 2 MB/s; b has no time, so a sends it to c too."""
    log = walk(handoff(2.0), [A, A, B, C, C, C, B], carrier=carrier)
    sent = [(step, source, to, round(count / MB, 3)) for step, source, to, count in log.sent]
    assert sent == [
        *((0, CLOUD_NUMBER, A, 6.0), (2, A, B, 4.0)),
        *((3, A, C, 4.0), (4, A, C, 2.0), (6, C, B, 4.0)),
    ]
    assert not any(hit for *_, hit in moves(log))


def test_who_comes_back_before_the_image_has_left_finds_it() -> None:
    log = walk(handoff(2.0), [A, A, B, A, A])
    assert moves(log)[-1] == (3, A, 3.0 * MB, True)
    assert [to for _, _, to, _ in log.sent] == [A, B]


def test_details_change_nothing() -> None:
    for policy in (download(1.0), handoff(2.0)):
        for kept_s in (0.0, 5.0):
            attached = [A, A, A, B, B, C, A, A, A, A, B]
            full = walk(policy, attached, kept_s=kept_s)
            plain = walk(policy, attached, kept_s=kept_s, details=False)
            assert (plain.sent, plain.handovers) == (full.sent, full.handovers)
            assert (plain.queries, plain.cold_start_queries) == (
                full.queries,
                full.cold_start_queries,
            )


def test_the_cloud_has_what_the_first_server_starts_from() -> None:
    policy = handoff(1.0, image_mb=7.0)
    first, second = policy.image(3e6, None), policy.image(3e6, "b")
    assert (first.source, first.size_bytes) == (CLOUD, 10e6)
    assert (second.source, second.size_bytes, second.most_bps) == ("b", 10e6, 8e6)
