"""Regressions of the next position on the last."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from testbed.mobility.regression import LinearSvr, PolynomialSvr, RbfSvr, Regression, Ridge
from tests.mobility.walks import random_walks, servers_in_a_square, steady_walks, straight

# The kernels' landmarks are windows, of which there are few here.
pytestmark = pytest.mark.filterwarnings("ignore:n_components > n_samples")

SERVERS_M = servers_in_a_square(3)
EVERY_ONE = pytest.mark.parametrize("kind", [LinearSvr, Ridge, PolynomialSvr, RbfSvr])


@EVERY_ONE
def test_steady_walks_are_continued(kind: type[Regression]) -> None:
    predictor = kind()
    predictor.fit([path + 1000 for path in steady_walks(60, 30, seed=0)], SERVERS_M)
    recent = straight(6, (990, 1010), (15, -10))
    np.testing.assert_allclose(predictor.predict(recent[np.newaxis, :5])[0], recent[5], atol=5)


@EVERY_ONE
def test_predictions_of_a_batch_are_those_of_each_alone(kind: type[Regression]) -> None:
    predictor = kind(n=3)
    predictor.fit(random_walks(1, 60, seed=1), SERVERS_M)
    recent = np.random.default_rng(1).normal(0, 20, (7, 3, 2))
    together = predictor.predict(recent)
    assert together.shape == (7, 2)
    np.testing.assert_allclose(
        together, np.concatenate([predictor.predict(each[np.newaxis]) for each in recent])
    )


@EVERY_ONE
def test_fitting_twice_gives_the_same_predictor(kind: type[Regression]) -> None:
    paths, recent = random_walks(2, 80, seed=2), np.random.default_rng(2).normal(size=(4, 5, 2))
    first, second = kind(), kind()
    for predictor in (first, second):
        predictor.fit(paths, SERVERS_M)
    np.testing.assert_array_equal(first.predict(recent), second.predict(recent))
    for one, other in zip(first.candidates(recent), second.candidates(recent), strict=True):
        np.testing.assert_array_equal(one, other)


@EVERY_ONE
def test_people_who_never_move_are_predicted_to_stay(kind: type[Regression]) -> None:
    predictor = kind()
    predictor.fit([np.full((20, 2), 7.0)], SERVERS_M)
    np.testing.assert_allclose(predictor.predict(np.full((1, 5, 2), 7.0)), [[7.0, 7.0]])


@EVERY_ONE
def test_what_is_predicted_for_someone_does_not_depend_on_who_else_is_asked_for(
    kind: type[Regression],
) -> None:
    """Standard scores have training's mean and deviation, never those of what is asked."""
    predictor = kind()
    predictor.fit(random_walks(2, 80, seed=3), SERVERS_M)
    someone = np.random.default_rng(3).normal(0, 30, (3, 5, 2))
    strangers = someone * 40 + 5000
    alone = predictor.predict(someone)
    np.testing.assert_allclose(predictor.predict(np.concatenate((someone, strangers)))[:3], alone)
    np.testing.assert_allclose(predictor.predict(someone), alone)


@pytest.mark.parametrize("kind", [LinearSvr, Ridge])
def test_people_shifted_by_an_offset_are_predicted_with_scores_of_training(
    kind: type[Regression],
) -> None:
    """A linear model on fixed scores shifts its predictions by equal amounts for equal shifts."""
    predictor = kind()
    predictor.fit(random_walks(2, 80, seed=4), SERVERS_M)
    recent = np.random.default_rng(4).normal(0, 30, (6, 5, 2))
    once, twice, thrice = (predictor.predict(recent + 100.0 * shift) for shift in (0, 1, 2))
    np.testing.assert_allclose(thrice - twice, twice - once)
    np.testing.assert_allclose(twice - once, (twice - once)[:1].repeat(6, axis=0))


@EVERY_ONE
def test_paths_too_short_to_learn_from_are_an_error(kind: type[Regression]) -> None:
    with pytest.raises(ConfigurationError, match="none of 2 training paths has more than 5"):
        kind().fit([np.zeros((5, 2)), np.zeros((2, 2))], SERVERS_M)


@EVERY_ONE
def test_predicting_before_fitting_is_a_mistake(kind: type[Regression]) -> None:
    with pytest.raises(RuntimeError, match="fit"):
        kind().predict(np.zeros((1, 5, 2)))
