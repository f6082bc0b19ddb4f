"""Which layers a server holds, and when it discards them (section III.B.2)."""

from __future__ import annotations

import math

import pytest

from testbed.decision.time_to_live import HeldLayers, kept_after_leaving_s
from testbed.settings.offloads import Migration


def holding(kept_s: float = 0.0) -> HeldLayers[str]:
    """A server that client a has uploaded two layers to, one of them in part."""
    held: HeldLayers[str] = HeldLayers(kept_s)
    held.attach("a")
    held.add("a", "conv", 100)
    held.add("a", "fc", 40)
    return held


def test_layers_stay_while_their_client_is_attached() -> None:
    held = holding()
    assert held.discard_expired(1e9) == {}
    assert held.next_expiry_s() == math.inf
    assert held.present_bytes("a", "fc") == 40


def test_leaving_discards_what_was_uploaded() -> None:
    held = holding()
    held.leave("a", 0.0)
    assert held.next_expiry_s() == -math.inf
    assert held.discard_expired(0.0) == {"a": ("conv", "fc")}
    assert held.present_bytes("a", "conv") == 0


def test_leaving_keeps_layers_under_an_outstanding_offer_until_it_ends() -> None:
    held = holding()
    held.offer("a", 150.0)
    held.leave("a", 0.0)
    assert held.next_expiry_s() == 150.0
    assert held.discard_expired(149.9) == {}
    assert held.discard_expired(150.0) == {"a": ("conv", "fc")}


def test_leaving_after_the_offer_has_ended_discards_at_once() -> None:
    held = holding()
    held.offer("a", 150.0)
    held.leave("a", 0.0)
    assert held.discard_expired(151.0) == {"a": ("conv", "fc")}


def test_repeated_offer_renews_the_time_to_live_and_an_older_one_does_not_shorten_it() -> None:
    held: HeldLayers[str] = HeldLayers()
    held.offer("a", 150.0)
    held.add("a", "conv", 100)
    held.offer("a", 180.0)
    held.offer("a", 160.0)
    assert held.next_expiry_s() == 180.0
    assert held.discard_expired(179.0) == {}
    assert held.discard_expired(180.0) == {"a": ("conv",)}


def test_retained_uploads_survive_their_client() -> None:
    held = holding(math.inf)
    held.leave("a", 0.0)
    assert held.discard_expired(1e9) == {}
    assert held.present_bytes("a", "conv") == 100


def test_layers_being_sent_on_stay_until_every_sending_has_ended() -> None:
    held = holding()
    held.start_sending("a")
    held.start_sending("a")
    held.leave("a", 0.0)
    held.stop_sending("a")
    assert held.discard_expired(1e9) == {}
    held.stop_sending("a")
    assert held.discard_expired(0.0) == {"a": ("conv", "fc")}


def test_nothing_expires_while_layers_are_sent_so_nobody_waits_for_it() -> None:
    held = holding()
    held.start_sending("a")
    held.leave("a", 0.0)
    assert held.next_expiry_s() == math.inf
    held.stop_sending("a")
    assert held.next_expiry_s() == -math.inf


def test_another_clients_copy_is_not_ones_own() -> None:
    held = holding()
    assert held.present_bytes("b", "conv") == 0
    held.attach("b")
    held.add("b", "conv", 7)
    held.leave("b", 0.0)
    assert held.discard_expired(0.0) == {"b": ("conv",)}
    assert held.present_bytes("a", "conv") == 100


def test_a_second_sender_that_is_behind_does_not_shrink_what_is_here() -> None:
    held = holding()
    held.add("a", "fc", 10)
    assert held.present_bytes("a", "fc") == 40


def test_bytes_that_proved_wrong_are_forgotten() -> None:
    held = holding()
    held.forget("a", "fc")
    assert held.present_bytes("a", "fc") == 0
    assert held.present_bytes("a", "conv") == 100
    held.forget("stranger", "fc")


def test_coming_back_before_the_discarding_keeps_the_layers() -> None:
    held = holding()
    held.leave("a", 0.0)
    held.attach("a")
    assert held.discard_expired(0.0) == {}
    assert held.present_bytes("a", "conv") == 100


def test_next_expiry_is_the_earliest_of_all_clients() -> None:
    held: HeldLayers[str] = HeldLayers()
    assert held.next_expiry_s() == math.inf
    held.offer("a", 60.0)
    held.offer("b", 30.0)
    held.attach("c")
    assert held.next_expiry_s() == 30.0


def test_layers_are_kept_for_the_time_to_live_after_their_client_left() -> None:
    settings = Migration(ttl_intervals=5, keep_after_leaving=True)
    kept_s = kept_after_leaving_s(settings, 30.0)
    assert kept_s == 165.0
    held = holding(kept_s)
    held.leave("a", 100.0)
    assert held.discard_expired(264.9) == {}
    held.attach("a")  # it comes back, and leaves again
    held.leave("a", 300.0)
    assert held.next_expiry_s() == 465.0
    held.offer("a", 500.0)
    assert held.discard_expired(499.0) == {}
    assert held.discard_expired(500.0) == {"a": ("conv", "fc")}


def test_nothing_is_kept_by_default_and_all_for_good_where_uploads_are_retained() -> None:
    assert kept_after_leaving_s(Migration(), 30.0) == 0.0
    assert kept_after_leaving_s(Migration(retain_uploads=True), 30.0) == math.inf
    with pytest.raises(ValueError, match="set one of them"):
        Migration(retain_uploads=True, keep_after_leaving=True)
