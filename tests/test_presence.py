"""Which layers a server holds, and when it discards them (section III.B.2)."""

from __future__ import annotations

import math

from testbed.presence import Presence


def holding(*, retain_uploads: bool = False) -> Presence[str]:
    """A server that client a has uploaded two layers to, one of them in part."""
    presence: Presence[str] = Presence(retain_uploads=retain_uploads)
    presence.attach("a")
    presence.add("a", "conv", 100)
    presence.add("a", "fc", 40)
    return presence


def test_layers_stay_while_their_client_is_attached() -> None:
    presence = holding()
    assert presence.discard_expired(1e9) == {}
    assert presence.next_expiry_s() == math.inf
    assert presence.present_bytes("a", "fc") == 40


def test_leaving_discards_what_was_uploaded() -> None:
    presence = holding()
    presence.leave("a")
    assert presence.next_expiry_s() == -math.inf
    assert presence.discard_expired(0.0) == {"a": ("conv", "fc")}
    assert presence.present_bytes("a", "conv") == 0


def test_leaving_keeps_layers_under_an_outstanding_offer_until_it_ends() -> None:
    presence = holding()
    presence.offer("a", 150.0)
    presence.leave("a")
    assert presence.next_expiry_s() == 150.0
    assert presence.discard_expired(149.9) == {}
    assert presence.discard_expired(150.0) == {"a": ("conv", "fc")}


def test_leaving_after_the_offer_has_ended_discards_at_once() -> None:
    presence = holding()
    presence.offer("a", 150.0)
    presence.leave("a")
    assert presence.discard_expired(151.0) == {"a": ("conv", "fc")}


def test_repeated_offer_renews_the_time_to_live_and_an_older_one_does_not_shorten_it() -> None:
    presence: Presence[str] = Presence()
    presence.offer("a", 150.0)
    presence.add("a", "conv", 100)
    presence.offer("a", 180.0)
    presence.offer("a", 160.0)
    assert presence.next_expiry_s() == 180.0
    assert presence.discard_expired(179.0) == {}
    assert presence.discard_expired(180.0) == {"a": ("conv",)}


def test_retained_uploads_survive_their_client() -> None:
    presence = holding(retain_uploads=True)
    presence.leave("a")
    assert presence.discard_expired(1e9) == {}
    assert presence.present_bytes("a", "conv") == 100


def test_layers_being_sent_on_stay_until_every_sending_has_ended() -> None:
    presence = holding()
    presence.start_sending("a")
    presence.start_sending("a")
    presence.leave("a")
    presence.stop_sending("a")
    assert presence.discard_expired(1e9) == {}
    presence.stop_sending("a")
    assert presence.discard_expired(0.0) == {"a": ("conv", "fc")}


def test_nothing_expires_while_layers_are_sent_so_nobody_waits_for_it() -> None:
    presence = holding()
    presence.start_sending("a")
    presence.leave("a")
    assert presence.next_expiry_s() == math.inf
    presence.stop_sending("a")
    assert presence.next_expiry_s() == -math.inf


def test_another_clients_copy_is_not_ones_own() -> None:
    presence = holding()
    assert presence.present_bytes("b", "conv") == 0
    presence.attach("b")
    presence.add("b", "conv", 7)
    presence.leave("b")
    assert presence.discard_expired(0.0) == {"b": ("conv",)}
    assert presence.present_bytes("a", "conv") == 100


def test_a_second_sender_that_is_behind_does_not_shrink_what_is_here() -> None:
    presence = holding()
    presence.add("a", "fc", 10)
    assert presence.present_bytes("a", "fc") == 40


def test_bytes_that_proved_wrong_are_forgotten() -> None:
    presence = holding()
    presence.forget("a", "fc")
    assert presence.present_bytes("a", "fc") == 0
    assert presence.present_bytes("a", "conv") == 100
    presence.forget("stranger", "fc")


def test_coming_back_before_the_discarding_keeps_the_layers() -> None:
    presence = holding()
    presence.leave("a")
    presence.attach("a")
    assert presence.discard_expired(0.0) == {}
    assert presence.present_bytes("a", "conv") == 100


def test_next_expiry_is_the_earliest_of_all_clients() -> None:
    presence: Presence[str] = Presence()
    assert presence.next_expiry_s() == math.inf
    presence.offer("a", 60.0)
    presence.offer("b", 30.0)
    presence.attach("c")
    assert presence.next_expiry_s() == 30.0
