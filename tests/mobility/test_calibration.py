"""Whether probabilities can be believed."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.errors import ConfigurationError
from testbed.mobility.calibration import BINS, reliability, visit_forecasts
from testbed.mobility.neighbourhood import NOBODY
from testbed.mobility.predictor import Candidates


def test_a_case_by_hand() -> None:
    found = reliability(
        np.array([0.25, 0.29, 0.82, 0.84, 0.86, 1.0]), np.array([1, 0, 1, 1, 0, 1], dtype=bool)
    )
    np.testing.assert_allclose(found.forecast, [0.27, 0.84, 1.0])
    np.testing.assert_allclose(found.observed, [1 / 2, 2 / 3, 1.0])
    assert found.count.tolist() == [2, 3, 1]
    expected = (2 * (0.5 - 0.27) + 3 * (0.84 - 2 / 3)) / 6
    assert found.calibration_error == pytest.approx(expected)
    squares = [0.75**2, 0.29**2, 0.18**2, 0.16**2, 0.86**2, 0.0]
    assert found.brier == pytest.approx(sum(squares) / 6)
    assert found.brier_base == pytest.approx(4 / 6 * 2 / 6)
    assert found.brier_skill == pytest.approx(1 - found.brier / found.brier_base)


def test_draws_with_the_probabilities_told_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    probability = rng.beta(0.3, 2.0, 200_000)
    happened = rng.random(200_000) < probability
    assert reliability(probability, happened).calibration_error < 0.003
    assert reliability(np.minimum(1.0, 1.5 * probability), happened).calibration_error > 0.03


def test_a_constant_forecast_of_the_share_has_no_skill() -> None:
    happened = np.arange(10) < 3
    found = reliability(np.full(10, 0.3), happened)
    assert found.brier == pytest.approx(found.brier_base)
    assert found.brier_skill == pytest.approx(0.0)
    assert found.calibration_error == pytest.approx(0.0)


def test_certain_and_right_is_perfect_and_what_never_varies_has_no_skill() -> None:
    happened = np.array([True, False, False])
    assert reliability(happened.astype(float), happened).brier_skill == 1.0
    assert reliability(np.zeros(3), np.zeros(3, dtype=bool)).brier_skill == 0.0


def test_probabilities_on_the_limits_have_a_group_each() -> None:
    limits = np.array(BINS)
    found = reliability(limits, np.ones(len(limits), dtype=bool))
    assert found.count.tolist() == [1] * (len(limits) - 2) + [2]  # 0.9 and 1.0 share the last


def test_nothing_to_compare_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="no forecasts"):
        reliability(np.empty(0), np.empty(0, dtype=bool))


def test_visits_are_those_within_the_intervals_by_people_elsewhere() -> None:
    """At servers 0, 0, 1, 2, with candidates 0, 1 and 2 at each of the three steps."""
    servers = np.array([(0, 1, 2), (0, 1, 2), (1, 2, NOBODY)])
    probability = np.arange(18.0).reshape(3, 3, 2) / 18
    candidates = Candidates(servers, probability)
    attached = np.array([0, 0, 1, 2])
    told, happened = visit_forecasts(candidates, attached, 1)
    np.testing.assert_allclose(told * 18, [2, 4, 8, 10, 14])
    assert happened.tolist() == [False, False, True, False, True]
    told, happened = visit_forecasts(candidates, attached, 2)  # the last step's is not known
    np.testing.assert_allclose(told * 18, [3, 5, 9, 11])
    assert happened.tolist() == [True, False, True, True]


def test_paths_shorter_than_the_intervals_tell_nothing() -> None:
    candidates = Candidates(np.zeros((1, 1), dtype=np.int64), np.ones((1, 1, 5)))
    told, happened = visit_forecasts(candidates, np.array([0, 1]), 5)
    assert len(told) == len(happened) == 0
