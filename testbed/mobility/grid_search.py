"""Grid search for the paper's predictors: which parameters err least (section III.D).

The paper compares kernels of the SVR, sets its epsilon and tolerance by trial, and finds the RNN's
cells, latent vector, learning rate and optimizer by grid search. Nothing here is learnt from the
people who are tested, and nothing is scored on people who were learnt from: the training people are
divided into folds, a person's whole movement in one of them (scikit-learn's `GroupKFold`).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np

from testbed.arrays import FloatArray
from testbed.errors import ConfigurationError
from testbed.mobility.accuracy import try_out
from testbed.mobility.predictor import Predictor

Parameters = Mapping[str, Any]
Built = TypeVar("Built")


@dataclass(frozen=True)
class Grid:
    """The values of each parameter of a predictor that are tried, and how one is built of them."""

    values: Mapping[str, tuple[Any, ...]]
    build: Callable[[int, Parameters], Predictor]  # n, parameters

    def combinations(self) -> list[dict[str, Any]]:
        """Return every combination, the last parameter's values changing fastest."""
        from sklearn.model_selection import ParameterGrid

        return [{name: each[name] for name in self.values} for each in ParameterGrid(self.values)]

    def narrowed(self, texts: Sequence[str]) -> Grid:
        """Return the grid with other values, given as "units=16,32".

        Raises ConfigurationError for what is no parameter, or no value of its kind.
        """
        values = dict(self.values)
        for text in texts:
            name, _, given = text.partition("=")
            if name not in values:
                raise ConfigurationError(
                    f"--grid {text}: {name!r} is none of the parameters {', '.join(values)}"
                )
            values[name] = tuple(_value(text, each, values[name][0]) for each in given.split(","))
        return Grid(values, self.build)


def _value(text: str, given: str, like: Any) -> Any:
    if isinstance(like, str):
        return given
    try:
        value = type(like)(given)
    except ValueError:
        value = -1
    if not 0 <= value < np.inf or (isinstance(like, int) and value < 1):
        kind = "whole numbers from 1" if isinstance(like, int) else "numbers from 0"
        raise ConfigurationError(f"--grid {text}: expected {kind}, separated by commas")
    return value


def _svr(n: int, parameters: Parameters) -> Predictor:
    from testbed.mobility.regression import LinearSvr, PolynomialSvr, RbfSvr

    kernels: dict[str, Callable[..., Predictor]]
    kernels = {"linear": LinearSvr, "polynomial": PolynomialSvr, "rbf": RbfSvr}
    build = _known("kernel", parameters["kernel"], kernels)
    return build(n, epsilon=parameters["epsilon"], tolerance=parameters["tolerance"])


def _rnn(n: int, parameters: Parameters) -> Predictor:
    from testbed.mobility.own_settings import LstmSettings
    from testbed.mobility.recurrent import Lstm
    from testbed.mobility.training import OPTIMIZERS

    _known("optimizer", parameters["optimizer"], OPTIMIZERS)
    more = {name: parameters[name] for name in ("cells", "learning_rate", "optimizer")}
    return Lstm(n, LstmSettings(units=parameters["units"]), **more)


def _known(what: str, name: str, known: Mapping[str, Built]) -> Built:
    if name not in known:
        raise ConfigurationError(f"--grid: {what} {name!r} is none of {', '.join(known)}")
    return known[name]


#: By the names of predictors; the values around the paper's, where it says them.
GRIDS: Mapping[str, Grid] = {
    "svr": Grid(
        {
            "kernel": ("linear", "polynomial", "rbf"),
            "epsilon": (0.0, 0.001, 0.01),
            "tolerance": (1e-4, 1e-7),
        },
        _svr,
    ),
    "rnn": Grid(
        {
            "cells": (1, 2),
            "units": (8, 16, 32, 64),
            "learning_rate": (0.01, 0.001, 0.0001),
            "optimizer": ("adam", "rmsprop", "sgd"),
        },
        _rnn,
    ),
}


@dataclass(frozen=True)
class Score:
    """What came of one combination."""

    parameters: Parameters
    mae_m: float  # mean Euclidean error, the mean over folds
    mae_m_sd: float  # its standard deviation over folds
    unconverged: int  # fits that scikit-learn's solver ended before they converged
    seconds: float  # that all of its fits and predictions took

    def row(self) -> dict[str, Any]:
        """Return it as a row of figures."""
        names = ("mae_m", "mae_m_sd", "unconverged", "seconds")
        return {**self.parameters, **{name: getattr(self, name) for name in names}}


def search(
    grid: Grid,
    n: int,
    paths: Sequence[FloatArray],
    people: Sequence[str],
    servers_m: FloatArray,
    folds: int,
) -> Iterator[Score]:
    """Try every combination on the training paths alone, and yield its score.

    `paths` are unbroken, in metres, (m, 2) each, and `people` whose each is: the people of one fold
    are predicted by what was learnt from those of the others. Standard scores are of the latter
    alone too. Raises ConfigurationError if there are fewer people than folds, or a fold's paths are
    all too short.
    """
    from sklearn.model_selection import GroupKFold

    if not 2 <= folds <= len(set(people)):
        raise ConfigurationError(
            f"--folds {folds}: from 2 to {len(set(people))}, the number of people to learn from"
        )
    parts = [*GroupKFold(folds).split(paths, groups=people)]
    for parameters in grid.combinations():
        begin_s, unconverged = time.monotonic(), 0
        errors_m: list[float] = []
        for learnt, held_out in parts:
            predictor = grid.build(n, parameters)
            training = [paths[index] for index in learnt]
            unconverged += not _converges(partial(predictor.fit, training, servers_m))
            trial = try_out(predictor, [paths[index] for index in held_out], servers_m)
            errors_m.append(trial.accuracy().mae_m)
        yield Score(
            parameters,
            mae_m=float(np.mean(errors_m)),
            mae_m_sd=float(np.std(errors_m)),
            unconverged=unconverged,
            seconds=time.monotonic() - begin_s,
        )


def best_of(scores: Sequence[Score]) -> Score:
    """Return the score with the least error, the first of equal ones."""
    return min(scores, key=lambda score: score.mae_m)


def _converges(fit: Callable[[], object]) -> bool:
    """Fit, and return whether scikit-learn's solver got to its tolerance; it warns if not."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        fit()
    others = [each for each in caught if not issubclass(each.category, ConvergenceWarning)]
    for each in others:
        warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
    return len(others) == len(caught)
