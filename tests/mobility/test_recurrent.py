"""The recurrent network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from testbed.mobility import recurrent
from testbed.mobility.positions import Stay
from testbed.mobility.recurrent import Lstm
from tests.mobility.walks import servers_in_a_square, steady_walks

SERVERS_M = servers_in_a_square(3)
PATHS = steady_walks(40, 20, seed=0)


def few_epochs(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    monkeypatch.setattr(recurrent, "_EPOCHS", epochs)


def test_it_learns_that_walks_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    few_epochs(monkeypatch, 30)
    predictor = Lstm(learning_rate=0.01)
    predictor.fit(steady_walks(150, 12, seed=0), SERVERS_M)
    others = np.stack(steady_walks(30, 6, seed=1))

    def error_m(predicted_m: np.ndarray) -> float:
        return float(np.linalg.norm(predicted_m - others[:, 5], axis=1).mean())

    recent = others[:, :5]
    assert error_m(predictor.predict(recent)) < 0.5 * error_m(Stay().predict(recent))


def test_the_same_paths_give_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    few_epochs(monkeypatch, 1)
    first, second = Lstm(), Lstm()
    first.fit(PATHS, SERVERS_M)
    torch.manual_seed(12345)
    second.fit(PATHS, SERVERS_M)
    recent = np.stack(PATHS)[:, :5]
    np.testing.assert_array_equal(first.predict(recent), second.predict(recent))
    second.fit(PATHS, SERVERS_M)  # from new weights, not on from those it has
    np.testing.assert_array_equal(first.predict(recent), second.predict(recent))


def test_training_leaves_the_global_random_numbers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    few_epochs(monkeypatch, 1)
    torch.manual_seed(4321)
    before = torch.get_rng_state()
    Lstm().fit(PATHS, SERVERS_M)
    assert torch.equal(torch.get_rng_state(), before)


def test_predictions_of_a_batch_are_those_of_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    few_epochs(monkeypatch, 1)
    predictor = Lstm(own=Lstm.Settings(units=16))
    predictor.fit(PATHS, SERVERS_M)
    recent = np.stack(PATHS)[:7, :5]
    together = predictor.predict(recent)
    assert together.shape == (7, 2)
    alone = np.concatenate([predictor.predict(each[np.newaxis]) for each in recent])
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-3)


def test_predicting_before_fitting_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="fit"):
        Lstm().predict(np.zeros((1, 5, 2)))
