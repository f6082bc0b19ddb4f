"""The mobility predictors that a run can choose between, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from testbed.mobility.own_settings import LstmSettings, PredictorSettings
from testbed.plugins import load_class

if TYPE_CHECKING:
    from testbed.mobility.predictor import Predictor

#: Where each is defined; they are loaded when asked for, since some need PyTorch.
PREDICTORS = {
    "svr": "testbed.mobility.regression:LinearSvr",
    "svr-polynomial": "testbed.mobility.regression:PolynomialSvr",
    "svr-rbf": "testbed.mobility.regression:RbfSvr",
    "markov": "testbed.mobility.markov:Markov",
    "rnn": "testbed.mobility.recurrent:Lstm",
    "visits": "testbed.mobility.visits:VisitPredictor",
    "stay": "testbed.mobility.positions:Stay",
    "velocity": "testbed.mobility.positions:ConstantVelocity",
    "ridge": "testbed.mobility.regression:Ridge",
}
#: What of their own the built-in ones have as settings.
OWN_SETTINGS: Mapping[str, type[PredictorSettings]] = {"rnn": LstmSettings}


def find_predictor(name: str) -> type[Predictor]:
    """Return the predictor class of this name, or of package.module:Class.

    Raises ConfigurationError if there is none, or it is no subclass of `Predictor`.
    """
    from testbed.mobility.predictor import Predictor

    known = PREDICTORS.get(name, name)
    return load_class("predictor", known, Predictor, PREDICTORS)  # type: ignore[type-abstract]
