"""Where a client goes, with nodes that the test plays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

import testbed.emulation.association
from nodes.control import Chosen, InRange, ToNode
from testbed.clock import RunClock
from testbed.emulation.association import Association
from testbed.emulation.processes import Nodes
from testbed.settings.experiment import Wireless
from testbed.values import AccessPoint, Fix, Handover

PLACES = (
    AccessPoint("far", 95.0, 0.0),
    AccessPoint("here", 0.0, 0.0),
    AccessPoint("near", 60.0, 0.0),
)


class PlayedNodes(Nodes):
    """Clients that choose as a test tells, or never."""

    def __init__(self, choose: Callable[[InRange], Chosen | None]) -> None:
        self.asked: list[InRange] = []
        self.association = Association(Wireless(), ())
        self._choose_for = choose

    def tell(self, name: str, message: ToNode) -> None:
        assert isinstance(message, InRange)
        self.asked.append(message)
        if (said := self._choose_for(message)) is not None:
            asyncio.get_running_loop().call_soon(self.association.chosen, said)


def go(
    x_m: float,
    scheduled: str | None = None,
    *,
    at: str | None = "here",
    mode: str = "least_time",
    choose: Callable[[InRange], Chosen | None] = lambda asked: None,
) -> tuple[str | None, list[InRange]]:
    """Return where a client at a position goes (None: it stays), and what it was asked."""
    nodes = PlayedNodes(choose)
    nodes.association = Association(Wireless(association=mode), PLACES)  # type: ignore[arg-type]
    if at is not None:
        nodes.association.associated("c1", at)
    item = None if scheduled is None else Handover("c1", 30.0, "wherever", scheduled)
    fix, clock = Fix("c1", 30.0, x_m, 0.0), RunClock(time.monotonic())
    moved = asyncio.run(nodes.association.next(fix, item, 7, nodes, clock))
    if moved is not None and mode == "least_time" and at is not None:
        assert (moved.client, moved.time_s, moved.from_ap) == ("c1", 30.0, at)
    return None if moved is None else moved.to_ap, nodes.asked


def second(asked: InRange) -> Chosen:
    return Chosen(asked.handover, asked.access_points[1])


def test_nearest_follows_the_schedule_and_asks_nobody() -> None:
    assert go(70.0, "near", mode="nearest") == ("near", [])
    assert go(70.0, None, mode="nearest") == (None, [])


def test_a_first_attachment_follows_the_schedule() -> None:
    assert go(70.0, "near", at=None) == ("near", [])


def test_a_handover_lets_the_client_choose_among_what_it_sees_nearest_first() -> None:
    to_ap, asked = go(70.0, "near", choose=second)
    assert to_ap == "far"
    assert asked == [InRange(7, ("near", "far"))]


def test_a_client_that_chooses_where_it_is_stays() -> None:
    assert go(70.0, "near", at="far", choose=second) == (None, [InRange(7, ("near", "far"))])


def test_a_client_stays_while_it_sees_its_access_point_and_the_schedule_has_no_handover() -> None:
    assert go(70.0, None, at="far", choose=second) == (None, [])


def test_a_client_that_no_longer_sees_its_access_point_chooses_anew() -> None:
    assert go(70.0, None, at="here", choose=second)[0] == "far"


def test_one_visible_access_point_is_no_choice() -> None:
    assert go(5.0, "here", at="near") == ("here", [])


def test_what_is_out_of_range_is_no_candidate_and_else_the_schedule_stands() -> None:
    assert go(500.0, "far") == ("far", [])
    assert go(500.0, None) == (None, [])
    assert go(500.0, "here") == (None, [])


@pytest.mark.parametrize(
    "choose",
    [
        lambda asked: None,
        lambda asked: Chosen(asked.handover + 1, "far"),
        lambda asked: Chosen(asked.handover, "here"),  # 70 m away
    ],
    ids=["no choice", "another handover's", "out of range"],
)
def test_without_a_choice_in_time_the_client_goes_to_the_nearest(
    choose: Callable[[InRange], Chosen | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testbed.emulation.association, "_CHOICE_S", 0.05)
    assert go(70.0, "near", choose=choose)[0] == "near"


def test_a_choice_that_comes_too_late_does_no_harm() -> None:
    association = Association(Wireless(association="least_time"), PLACES)
    association.chosen(Chosen(3, "far"))
