from __future__ import annotations

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from testbed.mobility.predictors import PREDICTORS, LinearSvr, Stay, windows


def straight(points: int, start: tuple[float, float], step: tuple[float, float]) -> np.ndarray:
    return np.array(start) + np.arange(points)[:, np.newaxis] * np.array(step)


def test_windows_do_not_cross_from_path_to_path() -> None:
    first, second, short = (np.arange(2.0 * n).reshape(n, 2) + 100 * n for n in (4, 5, 3))
    recent, following = windows([first, short, second], 3)
    assert recent.shape == (3, 3, 2)
    np.testing.assert_array_equal(recent[0], first[:3])
    np.testing.assert_array_equal(following, [first[3], second[3], second[4]])
    np.testing.assert_array_equal(recent[2], second[1:4])


def test_paths_that_are_too_short_give_no_windows() -> None:
    recent, following = windows([np.zeros((3, 2))], 3)
    assert recent.shape == (0, 3, 2)
    assert following.shape == (0, 2)


def test_linear_svr_continues_steady_walks() -> None:
    rng = np.random.default_rng(0)
    paths = [straight(30, *rng.uniform(-20, 20, (2, 2))) + 1000 for _ in range(60)]
    predictor = LinearSvr()
    predictor.fit(paths)
    recent = straight(6, (990, 1010), (15, -10))
    np.testing.assert_allclose(predictor.predict(recent[np.newaxis, :5])[0], recent[5], atol=3)


def test_predictions_of_a_batch_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(1)
    predictor = LinearSvr(n=3)
    predictor.fit([rng.normal(size=(50, 2)).cumsum(axis=0)])
    recent = rng.normal(size=(7, 3, 2))
    together = predictor.predict(recent)
    assert together.shape == (7, 2)
    np.testing.assert_allclose(
        together, np.concatenate([predictor.predict(r[None]) for r in recent])
    )


def test_fitting_twice_gives_the_same_predictor() -> None:
    rng = np.random.default_rng(2)
    path, recent = rng.normal(size=(80, 2)).cumsum(axis=0), rng.normal(size=(4, 5, 2))
    first, second = LinearSvr(), LinearSvr()
    first.fit([path])
    second.fit([path])
    np.testing.assert_array_equal(first.predict(recent), second.predict(recent))


def test_people_who_never_move_are_predicted_to_stay() -> None:
    predictor = LinearSvr()
    predictor.fit([np.full((20, 2), 7.0)])
    np.testing.assert_allclose(predictor.predict(np.full((1, 5, 2), 7.0)), [[7.0, 7.0]])


def test_stay_predicts_the_last_position() -> None:
    recent = np.arange(20.0).reshape(2, 5, 2)
    np.testing.assert_array_equal(Stay().predict(recent), recent[:, -1])


def test_known_predictors_have_names() -> None:
    assert {name: type(make()) for name, make in PREDICTORS.items()} == {
        "svr": LinearSvr,
        "stay": Stay,
    }


def test_paths_too_short_to_learn_from_are_an_error() -> None:
    with pytest.raises(ConfigurationError, match="none of 2 training paths has more than 5"):
        LinearSvr().fit([np.zeros((5, 2)), np.zeros((2, 2))])
    with pytest.raises(ConfigurationError, match="at least one"):
        LinearSvr(n=0)


def test_predicting_before_fitting_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="fit"):
        LinearSvr().predict(np.zeros((1, 5, 2)))
