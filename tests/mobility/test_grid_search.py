"""Grid search: every combination is scored, and nobody is both learnt from and scored on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import ClassVar

import numpy as np
import pytest

from testbed.arrays import FloatArray
from testbed.errors import ConfigurationError
from testbed.mobility.grid_search import GRIDS, Grid, Parameters, best_of, search
from testbed.mobility.positions import PositionPredictor
from testbed.mobility.predictor import Predictor

SERVERS_M = np.array([(0.0, 0.0), (100.0, 0.0), (200.0, 0.0)])
PEOPLE = [f"p{number}" for number in range(6) for _ in range(2)]  # two days of each


def days(steps: int = 20) -> list[FloatArray]:
    """Return a path of each day, at a place of its person alone: 1000 m apart."""
    rng = np.random.default_rng(0)
    return [
        rng.normal(size=(steps, 2)).cumsum(axis=0) + np.array([1000.0 * (number // 2), 0.0])
        for number in range(len(PEOPLE))
    ]


def whose(path: FloatArray) -> int:
    return round(float(path[:, 0].mean()) / 1000)


class Watched(PositionPredictor):
    """Expects everyone some metres further east; remembers whom it saw."""

    seen: ClassVar[list[tuple[set[int], set[int]]]] = []

    def __init__(self, n: int, east_m: float) -> None:
        super().__init__(n)
        self._east_m = east_m
        self._learnt: set[int] = set()

    def fit(self, paths: Sequence[FloatArray], servers_m: FloatArray) -> None:
        super().fit(paths, servers_m)
        self._learnt = {whose(path) for path in paths}

    def predict(self, recent: FloatArray) -> FloatArray:
        if self._learnt:  # not what it learns from
            self.seen.append((self._learnt, {whose(each) for each in recent}))
        return recent[:, -1] + (self._east_m, 0.0)


def watched(n: int, parameters: Parameters) -> Predictor:
    return Watched(n, parameters["east_m"])


def test_each_person_is_in_one_fold_and_never_learnt_from_and_scored_on() -> None:
    Watched.seen.clear()
    grid = Grid({"east_m": (30.0, 0.0, -30.0)}, watched)
    scores = list(search(grid, 5, days(), PEOPLE, SERVERS_M, 3))
    assert [score.parameters for score in scores] == [{"east_m": e} for e in (30.0, 0.0, -30.0)]
    assert best_of(scores).parameters == {"east_m": 0.0}
    assert all(not learnt & scored for learnt, scored in Watched.seen)
    of_first = {person for _, scored in Watched.seen[: len(Watched.seen) // 3] for person in scored}
    assert of_first == set(range(6))
    error_m = best_of(scores).mae_m
    assert error_m == pytest.approx(np.sqrt(np.pi / 2), rel=0.1)  # the length of a normal step


def test_all_combinations_of_the_papers_parameters_are_there() -> None:
    svr, rnn = GRIDS["svr"].combinations(), GRIDS["rnn"].combinations()
    assert {each["kernel"] for each in svr} == {"linear", "polynomial", "rbf"}
    assert {"cells": 1, "units": 32, "learning_rate": 0.001, "optimizer": "adam"} in rnn
    values = GRIDS["rnn"].values
    wanted = [dict(zip(values, each, strict=True)) for each in product(*values.values())]
    assert len(rnn) == len(wanted) == 72
    assert all(each in rnn for each in wanted)


@pytest.mark.parametrize(
    ("name", "narrowed"),
    [
        ("svr", ["kernel=linear,rbf", "epsilon=0,0.1", "tolerance=1e-3"]),
        ("rnn", ["units=4", "cells=2", "learning_rate=0.01", "optimizer=adam,sgd"]),
    ],
)
def test_the_papers_predictors_are_tried(
    name: str, narrowed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.mobility.recurrent._EPOCHS", 1)
    grid = GRIDS[name].narrowed(narrowed)
    scores = list(search(grid, 5, days(), PEOPLE, SERVERS_M, 2))
    assert len(scores) == (4 if name == "svr" else 2)
    assert len({score.mae_m for score in scores}) == len(scores)
    assert scores[0].row().keys() == {*grid.values, "mae_m", "mae_m_sd", "unconverged", "seconds"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("width=3", "'width' is none of the parameters cells, units, learning_rate, optimizer"),
        ("units=3,many", "expected whole numbers from 1"),
        ("units=0", "expected whole numbers from 1"),
        ("learning_rate=-1", "expected numbers from 0"),
        ("units", "expected whole numbers from 1"),
    ],
)
def test_values_that_cannot_be_tried_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        GRIDS["rnn"].narrowed([text])


def test_unknown_kernels_and_optimizers_are_refused() -> None:
    for name, text in (("svr", "kernel=sigmoid"), ("rnn", "optimizer=lbfgs")):
        grid = GRIDS[name].narrowed([text])
        with pytest.raises(ConfigurationError, match="is none of"):
            next(search(grid, 5, days(), PEOPLE, SERVERS_M, 2))


@pytest.mark.parametrize("folds", [1, 7])
def test_there_are_as_many_folds_as_people_at_most(folds: int) -> None:
    with pytest.raises(ConfigurationError, match="from 2 to 6"):
        next(search(replace(GRIDS["svr"]), 5, days(), PEOPLE, SERVERS_M, folds))
