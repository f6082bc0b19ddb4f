"""Predictors of positions: their candidates, and the baselines."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from testbed.mobility.neighbourhood import NOBODY
from testbed.mobility.positions import ConstantVelocity, Stay
from tests.mobility.walks import on_line, random_walks, servers_in_a_square, straight

SERVERS_M = servers_in_a_square(5)


def fitted_stay(people: int = 20) -> Stay:
    predictor = Stay(n=2)
    predictor.fit(random_walks(people, 60, seed=0), SERVERS_M)
    return predictor


def test_stay_predicts_the_last_position() -> None:
    recent = np.arange(20.0).reshape(2, 5, 2)
    np.testing.assert_array_equal(Stay().predict(recent), recent[:, -1])


def test_constant_velocity_repeats_the_last_step() -> None:
    recent = straight(6, (3.0, 5.0), (7.0, -2.0))
    predicted = ConstantVelocity().predict(recent[np.newaxis, :5])
    np.testing.assert_allclose(predicted, recent[np.newaxis, 5])
    assert ConstantVelocity(n=1).predict(np.full((2, 1, 2), 4.0)).tolist() == [[4.0, 4.0]] * 2


def test_probabilities_sum_to_one_and_decline_with_distance_from_the_prediction() -> None:
    predictor = fitted_stay()
    recent = np.random.default_rng(0).uniform(-200, 200, (50, 2, 2))
    servers, probability = predictor.candidates(recent)
    assert probability.shape == (*servers.shape, 1)
    np.testing.assert_allclose(probability.sum(axis=1), 1.0)
    assert (np.diff(probability[..., 0], axis=1) <= 0).all()
    distance_m = np.linalg.norm(SERVERS_M[servers] - recent[:, -1:], axis=2)
    assert (np.diff(distance_m, axis=1) >= 0).all()
    ratio = np.log(probability[:, 0, 0] / probability[:, 1, 0]) / (
        distance_m[:, 1] - distance_m[:, 0]
    )
    np.testing.assert_allclose(ratio, ratio[0])  # one scale for everyone


def test_where_there_are_few_servers_the_candidates_are_filled_up() -> None:
    predictor = Stay(n=1)
    predictor.fit([on_line(0.0, 10.0, 90.0)], on_line(0.0, 100.0))
    servers, probability = predictor.candidates(on_line(20.0)[np.newaxis])
    assert servers[0, :2].tolist() == [0, 1]
    assert (servers[0, 2:] == NOBODY).all()
    assert (probability[0, 2:] == 0).all()
    assert probability.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("scale_m", [5.0, 20.0, 60.0])
def test_calibration_recovers_the_scale_by_which_people_choose(scale_m: float) -> None:
    """People choose among all servers by a conditional logit, as seen from where they stand."""
    rng = np.random.default_rng(1)
    here_m = rng.uniform(-80, 80, (4000, 2))
    distance_m = np.linalg.norm(SERVERS_M - here_m[:, np.newaxis], axis=2)
    gumbel = rng.gumbel(size=distance_m.shape)  # the largest of these follows the logit
    chosen = (gumbel - distance_m / scale_m).argmax(axis=1)
    predictor = Stay(n=1)
    predictor.fit(list(np.stack((here_m, SERVERS_M[chosen]), axis=1)), SERVERS_M)
    _, probability = predictor.candidates(np.array([[(0.0, 0.0)], [(10.0, 0.0)]]))
    # From (10, 0), the nearest servers are 10 and about 70 m away.
    found_m = (np.hypot(70.0, 0.0) - 10.0) / np.log(probability[1, 0, 0] / probability[1, 1, 0])
    assert found_m == pytest.approx(scale_m, rel=0.15)


def test_people_who_never_leave_their_server_make_the_nearest_one_certain() -> None:
    predictor = Stay(n=1)
    predictor.fit([np.full((20, 2), 3.0)], SERVERS_M)
    _, probability = predictor.candidates(np.full((1, 1, 2), 3.0))
    assert probability[0, 0, 0] == pytest.approx(1.0, abs=1e-6)


def test_candidates_before_fitting_are_a_mistake() -> None:
    for predictor in (Stay(), ConstantVelocity()):
        with pytest.raises(RuntimeError, match="fit"):
            predictor.candidates(np.zeros((1, 5, 2)))


def test_without_servers_nothing_can_be_learnt() -> None:
    with pytest.raises(ConfigurationError, match="no servers"):
        Stay().fit([np.zeros((9, 2))], np.empty((0, 2)))


class Unsure(Stay):
    def predict(self, recent: np.ndarray) -> np.ndarray:
        return np.full((len(recent), 2), np.nan)


def test_positions_that_are_none_are_refused_with_the_predictors_name() -> None:
    with pytest.raises(ConfigurationError, match=r"Unsure\.predict must return finite positions"):
        Unsure().fit([np.zeros((9, 2))], np.zeros((1, 2)))
    with pytest.raises(ConfigurationError, match="4 of those that it returned are not finite"):
        Unsure().fit([np.zeros((9, 2))], np.zeros((1, 2)))


class Few(Stay):
    def predict(self, recent: np.ndarray) -> np.ndarray:
        return recent[1:, -1]


def test_as_many_positions_are_wanted_as_people() -> None:
    with pytest.raises(ConfigurationError, match=r"shape \(4, 2\); it returned \(3, 2\)"):
        Few().fit([np.zeros((9, 2))], np.zeros((1, 2)))
