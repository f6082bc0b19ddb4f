"""What predictors are told, and what they say."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from testbed.mobility.neighbourhood import NOBODY
from testbed.mobility.positions import Stay
from testbed.mobility.predictor import (
    Candidates,
    StandardScores,
    histories,
    training_windows,
    windows,
)
from tests.mobility.walks import on_line


def test_windows_do_not_cross_from_path_to_path() -> None:
    first, second, short = (np.arange(2.0 * n).reshape(n, 2) + 100 * n for n in (4, 5, 3))
    recent, following = windows([first, short, second], 3)
    assert recent.shape == (3, 3, 2)
    np.testing.assert_array_equal(recent[0], first[:3])
    np.testing.assert_array_equal(following, [first[3], second[3], second[4]])
    np.testing.assert_array_equal(recent[2], second[1:4])


def test_paths_that_are_too_short_give_no_windows() -> None:
    for paths in ([np.zeros((3, 2))], []):
        recent, following = windows(paths, 3)
        assert recent.shape == (0, 3, 2)
        assert following.shape == (0, 2)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="none of 2 training paths has more than 5"):
        training_windows([np.zeros((5, 2)), np.zeros((2, 2))], 5)


def test_a_history_repeats_the_first_position_where_a_path_is_shorter() -> None:
    told = histories(on_line(1, 2, 3, 4), n=2, memory=4)
    assert told[..., 0].tolist() == [[1, 1, 1, 2], [1, 1, 2, 3], [1, 2, 3, 4]]


def test_a_history_without_memory_is_a_window() -> None:
    path = np.random.default_rng(0).normal(size=(12, 2))
    recent, _ = windows([path], 3)
    np.testing.assert_array_equal(histories(path, 3, 3)[:-1], recent)


def test_long_enough_histories_end_with_the_windows_and_are_windows_themselves() -> None:
    path = np.random.default_rng(0).normal(size=(20, 2))
    told = histories(path, 3, 8)
    np.testing.assert_array_equal(told[:, -3:], histories(path, 3, 3))
    np.testing.assert_array_equal(told[5:], histories(path, 8, 8))


def test_a_history_never_looks_ahead() -> None:
    path = np.random.default_rng(0).normal(size=(15, 2))
    for end in range(3, 15):
        changed = np.concatenate((path[:end], path[end:] + 1000))
        np.testing.assert_array_equal(
            histories(changed, 3, 6)[: end - 2], histories(path, 3, 6)[: end - 2]
        )


@pytest.mark.parametrize("points", [1, 2])
def test_a_path_shorter_than_n_gives_no_history(points: int) -> None:
    assert histories(np.zeros((points, 2)), n=3, memory=5).shape == (0, 5, 2)


def test_ranks_are_the_first_candidates_filled_up() -> None:
    candidates = Candidates(np.array([[4, 7, 1], [2, NOBODY, NOBODY]]), np.zeros((2, 3, 1)))
    assert candidates.ranked(2).tolist() == [[4, 7], [2, NOBODY]]
    assert candidates.ranked(4).tolist() == [[4, 7, 1, NOBODY], [2, NOBODY, NOBODY, NOBODY]]
    nobody = Candidates(np.empty((2, 0), dtype=np.int64), np.empty((2, 0, 1)))
    assert nobody.ranked(2).tolist() == [[NOBODY, NOBODY]] * 2


def test_standard_scores_are_those_of_training_and_lead_back() -> None:
    rng = np.random.default_rng(0)
    training = [rng.normal(50.0, 7.0, (30, 2)), rng.normal(-50.0, 2.0, (50, 2))]
    scores = StandardScores(training)
    seen = scores.of(np.concatenate(training))
    np.testing.assert_allclose(seen.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(seen.std(axis=0), 1.0)
    strange = rng.normal(1e4, 1.0, (2, 3, 2))
    np.testing.assert_allclose(scores.positions_m(scores.of(strange)), strange)


def test_a_trajectory_has_at_least_one_position() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        Stay(n=0)
    assert Stay(n=1).memory == 1
