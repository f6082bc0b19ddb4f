"""The predictors that a run can choose between."""

from __future__ import annotations

import numpy as np
import pytest

from testbed.arrays import FloatArray
from testbed.errors import ConfigurationError
from testbed.mobility import recurrent, visits
from testbed.mobility.neighbourhood import NOBODY
from testbed.mobility.positions import Stay
from testbed.mobility.predictor import Predictor
from testbed.mobility.predictors import PREDICTORS, find_predictor
from testbed.mobility.regression import LinearSvr
from tests.mobility.walks import random_walks, servers_in_a_square


class Return(Stay):
    """A user's own predictor."""

    def predict(self, recent: FloatArray) -> FloatArray:
        return recent[:, 0]


def test_known_predictors_have_names() -> None:
    assert {name: find_predictor(name).__name__ for name in PREDICTORS} == {
        "svr": "LinearSvr",
        "svr-polynomial": "PolynomialSvr",
        "svr-rbf": "RbfSvr",
        "markov": "Markov",
        "rnn": "Lstm",
        "visits": "VisitPredictor",
        "stay": "Stay",
        "velocity": "ConstantVelocity",
        "ridge": "Ridge",
    }
    assert find_predictor("svr") is LinearSvr


def test_a_predictor_of_ones_own_is_found_by_module_and_class() -> None:
    assert find_predictor(f"{__name__}:Return") is Return


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("visit", "did you mean 'visits'"),
        ("no.such.module:Predictor", "no.such.module"),
        ("testbed.mobility.positions:Absent", "Absent"),
        ("testbed.values:Offer", "no subclass"),
        ("testbed.mobility.predictor:Predictor", "abstract"),
    ],
)
def test_unusable_names_are_refused_with_their_reason(name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        find_predictor(name)


@pytest.mark.filterwarnings("ignore:n_components > n_samples")  # the kernels' landmarks
@pytest.mark.parametrize("name", PREDICTORS)
def test_every_predictor_says_what_the_interface_promises(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (recurrent, visits):
        monkeypatch.setattr(module, "_EPOCHS", 1)
    servers_m = servers_in_a_square(4)
    predictor = find_predictor(name)(5)
    assert predictor.n == 5
    predictor.fit(random_walks(3, 60, seed=0), servers_m)
    for length in sorted({predictor.n, predictor.memory}):
        assert_well_formed(predictor, np.stack(random_walks(6, length, seed=1)), len(servers_m))


def assert_well_formed(predictor: Predictor, recent: FloatArray, servers: int) -> None:
    positions_m = predictor.predict(recent)
    assert positions_m.shape == (len(recent), 2)
    found, probability = predictor.candidates(recent)
    assert found.shape == probability.shape[:2]
    assert ((found == NOBODY) | ((found >= 0) & (found < servers))).all()
    assert (probability >= 0).all() and (probability <= 1).all()
    assert (probability[found == NOBODY] == 0).all()
    assert (np.diff(probability[..., 0], axis=1) <= 0).all()  # the most probable next one first
    assert (np.diff(probability, axis=2) >= 0).all()
    for row in found.tolist():
        named = [server for server in row if server != NOBODY]
        assert len(named) == len(set(named)) > 0
