"""What the master believes that servers hold."""

from __future__ import annotations

from math import inf

from testbed.decision.holdings import Holdings


def test_the_upload_grows_at_the_server_that_the_client_is_at() -> None:
    holdings = Holdings(100.0)
    holdings.at("a", 10.0)
    assert holdings.bytes_at("a", 10.0) == 0
    holdings.at("a", 20.0)  # still
    assert holdings.bytes_at("a", 25.0) == 1500
    assert (holdings.current, holdings.previous) == ("a", None)


def test_what_is_left_is_dropped_unless_an_offer_holds_it() -> None:
    holdings = Holdings(100.0)
    holdings.at("a", 0.0)
    holdings.at("b", 10.0)
    assert (holdings.current, holdings.previous) == ("b", "a")
    assert not holdings.holds("a", 10.0) and holdings.bytes_at("a", 10.0) == 0
    holdings.offer("b", 20.0, 50.0)  # keep what is there
    holdings.at("a", 30.0)
    assert holdings.bytes_at("b", 49.0) == 2000
    assert holdings.bytes_at("b", 50.0) == 0
    assert holdings.bytes_at("a", 30.0) == 0  # it begins anew


def test_servers_may_retain_what_was_uploaded() -> None:
    holdings = Holdings(100.0, inf)
    holdings.at("a", 0.0)
    holdings.at("b", 10.0)
    assert holdings.holds("a", inf) is False
    assert holdings.bytes_at("a", 1e9) == 1000


def test_servers_may_keep_what_is_there_for_a_time() -> None:
    holdings = Holdings(100.0, 50.0)
    holdings.at("a", 0.0)
    holdings.at("b", 10.0)
    assert holdings.bytes_at("a", 59.0) == 1000
    assert not holdings.holds("a", 60.0)


def test_an_offer_brings_bytes_and_a_smaller_one_takes_none_away() -> None:
    holdings = Holdings(100.0)
    holdings.at("a", 0.0)
    holdings.offer("b", 0.0, 50.0)
    holdings.expect("b", 700.0)
    holdings.offer("b", 10.0, 40.0)
    holdings.expect("b", 300.0)
    assert holdings.bytes_at("b", 49.0) == 700
    holdings.offer("b", 60.0, 90.0)
    holdings.expect("b", 300.0)  # after the first had run out
    assert holdings.bytes_at("b", 61.0) == 300


def test_the_upload_begins_behind_what_an_offer_brought() -> None:
    holdings = Holdings(100.0)
    holdings.at("a", 0.0)
    holdings.offer("b", 0.0, 50.0)
    holdings.expect("b", 700.0)
    holdings.at("b", 10.0)
    assert holdings.bytes_at("b", 12.0) == 900
