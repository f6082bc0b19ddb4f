"""How good predictions of movement are, as Table III counts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from testbed.arrays import FloatArray
from testbed.errors import ConfigurationError
from testbed.mobility.accuracy import Accuracy, try_out
from testbed.mobility.positions import Stay
from testbed.mobility.predictor import Candidates
from tests.mobility.walks import Told, on_line

SERVERS_M = on_line(0.0, 100.0, 200.0)


def told(
    predicted_m: FloatArray,
    current_m: FloatArray,
    actual_m: FloatArray,
    servers_m: FloatArray = SERVERS_M,
) -> Accuracy:
    """Return how good predictions are for people who go from a current position to an actual."""
    predictor = Told(predicted_m)
    predictor.fit([], servers_m)
    return try_out(predictor, list(np.stack((current_m, actual_m), axis=1)), servers_m).accuracy()


def test_only_predictions_before_a_change_of_server_count_as_hits() -> None:
    accuracy = told(
        predicted_m=on_line(90, 10, 170, 0, 0),
        current_m=on_line(0, 0, 0, 0, 0),
        actual_m=on_line(100, 100, 100, 3, 4),
    )
    # Of three moves to server 1, one prediction is nearest to it and all have it among their two.
    assert accuracy.top1 == pytest.approx(1 / 3)
    assert accuracy.top2 == 1
    assert accuracy.non_futile_share == pytest.approx(3 / 5)
    assert accuracy.futile_share == pytest.approx(2 / 5)
    assert accuracy.mae_m == pytest.approx((10 + 90 + 70 + 3 + 4) / 5)
    assert accuracy.n_test == 5


def test_the_error_is_the_euclidean_distance() -> None:
    accuracy = told(np.array([(3.0, 4.0)]), on_line(0), on_line(0))
    assert accuracy.mae_m == pytest.approx(5.0)


def test_futile_predictions_alone_have_no_hit_share() -> None:
    accuracy = told(on_line(0), on_line(0), on_line(1))
    assert math.isnan(accuracy.top1)
    assert math.isnan(accuracy.top2)
    assert accuracy.non_futile_share == 0


def test_single_server_leaves_every_prediction_futile() -> None:
    assert told(on_line(0), on_line(0), on_line(500), SERVERS_M[:1]).futile_share == 1


def test_what_a_predictor_ranks_counts_not_where_it_sees_people() -> None:
    class Ranking(Told):
        def candidates(self, recent: FloatArray) -> Candidates:
            return Candidates(np.array([[1], [2]]), np.ones((2, 1, 1)))

    predictor = Ranking(on_line(0, 0))
    predictor.fit([], SERVERS_M)
    accuracy = try_out(predictor, [on_line(0, 100), on_line(0, 100)], SERVERS_M).accuracy()
    assert (accuracy.top1, accuracy.top2) == (0.5, 0.5)
    assert accuracy.mae_m == 100


def test_every_step_of_every_long_enough_path_is_predicted_from_what_was_before() -> None:
    asked: list[FloatArray] = []

    class Asked(Stay):
        def predict(self, recent: FloatArray) -> FloatArray:
            asked.append(recent)
            return super().predict(recent)

    predictor = Asked(n=2)
    predictor.fit([on_line(0, 0, 0)], SERVERS_M)
    asked.clear()
    trial = try_out(
        predictor, [on_line(0, 10, 30), on_line(7, 8), on_line(90, 60, 40, 20)], SERVERS_M
    )
    assert asked[0][..., 0].tolist() == [[0, 10], [90, 60], [60, 40]]
    assert trial.error_m.tolist() == [20, 20, 20]
    assert trial.visited.tolist() == [0, 0, 0]
    assert trial.moved.tolist() == [False, True, False]


def test_nothing_to_compare_is_an_error() -> None:
    predictor = Told(on_line(0))
    predictor.fit([], SERVERS_M)
    with pytest.raises(ConfigurationError, match="none of 1 test paths has more than 1"):
        try_out(predictor, [on_line(5)], SERVERS_M)
    with pytest.raises(ConfigurationError, match="no servers"):
        try_out(predictor, [on_line(5, 6)], np.empty((0, 2)))
