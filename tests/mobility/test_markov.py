"""Prediction from the sequence of servers alone."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from testbed.mobility.markov import Markov, SuffixTree
from testbed.mobility.neighbourhood import NOBODY
from tests.mobility.walks import on_line

A, B, C, D = range(4)


def tree_of(*sequences: tuple[int, ...], depth: int = 5) -> SuffixTree:
    tree = SuffixTree(depth)
    for sequence in sequences:
        tree.add(sequence)
    return tree


def test_what_most_often_followed_is_most_probable() -> None:
    tree = tree_of((A, B), (A, C), (A, B), (B, D))
    assert tree.best((A,), 2) == [(B, pytest.approx(2 / 3)), (C, pytest.approx(1 / 3))]
    assert tree.best((B,), 1) == [(D, 1.0)]


@pytest.mark.parametrize(("longest", "used"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_seven_tenths_of_the_longest_known_suffix_predict_but_at_least_one_server(
    longest: int, used: int
) -> None:
    """After k times A, server 10 + k came, and k is the length of the suffix that predicts."""
    tree = SuffixTree(5)
    tree.add((B,) * 5 + (D,))
    for length in range(6):
        # The shorter a suffix, the more often it was seen, each with its own follower
        for _ in range(2 ** (5 - length)):
            tree.add((C,) * (5 - length) + (A,) * length + (10 + length,))
    recent = (99,) * (5 - longest) + (A,) * longest
    assert tree.best(recent, 1)[0][0] == 10 + used


def test_the_longest_known_suffix_counts_though_longer_ones_are_unknown() -> None:
    tree = tree_of((A, B, C), (D, B, A), (D, B, A))
    assert tree.best((C, A, B), 1)[0][0] == A  # A, B is known, of which B alone predicts
    assert tree.best((C, C, C, C, A, B), 1) == tree.best((A, B), 1)


def test_no_more_than_the_depth_is_remembered() -> None:
    tree = tree_of((A, B, C, D), depth=2)
    assert (A, B, C) not in tree._followers
    assert tree._followers.keys() == {(B, C), (C,), ()}


def test_servers_that_followed_shorter_suffixes_fill_up_with_probability_0() -> None:
    tree = tree_of((A, B), (A, B), (C, D), (C, D), (C, D), (C, A))
    assert tree.best((A,), 4) == [(B, 1.0), (D, 0.0), (A, 0.0)]
    assert tree.best((A,), 2) == [(B, 1.0), (D, 0.0)]


def test_after_a_server_never_seen_overall_frequencies_count() -> None:
    tree = tree_of((A, B), (C, D), (A, D), (A, D))
    assert tree.best((99,), 3) == [(D, 0.75), (B, 0.25)]


def to_and_fro(times: int) -> np.ndarray:
    """Server 1, 0, 1, 2, 1, 0, 1, 2, ..."""
    return on_line(*(100.0 * (1, 0, 1, 2)[step % 4] for step in range(times)))


def test_an_alternating_walker_is_predicted() -> None:
    """After server 1, only the server before it tells whether 0 or 2 comes next."""
    servers_m = on_line(0.0, 100.0, 200.0)
    predictor = Markov()
    predictor.fit([to_and_fro(40)], servers_m)
    walk = to_and_fro(60)[7:]
    for start in range(8):
        recent, following = walk[start : start + 5], walk[start + 5]
        np.testing.assert_array_equal(predictor.predict(recent[np.newaxis]), [following])
        servers, probability = predictor.candidates(recent[np.newaxis])
        assert (servers[0, 0], probability[0, 0, 0]) == (round(following[0] / 100), 1.0)
        assert (servers[0, 3:] == NOBODY).all()
        assert probability.sum() == 1.0


def test_everyone_is_predicted_from_their_own_sequence() -> None:
    predictor = Markov()
    predictor.fit([to_and_fro(40)], on_line(0.0, 100.0, 200.0))
    several = np.stack([to_and_fro(9)[start : start + 5] for start in range(4)])
    together = predictor.predict(several)
    alone = [predictor.predict(each[np.newaxis])[0] for each in several]
    np.testing.assert_array_equal(together, alone)


def test_nothing_to_learn_from_is_an_error_and_asking_before_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="more than 5"):
        Markov().fit([np.zeros((5, 2))], on_line(0.0))
    with pytest.raises(RuntimeError, match="fit"):
        Markov().candidates(np.zeros((1, 5, 2)))
