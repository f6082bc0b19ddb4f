"""`testbed predict` measures predictors of movement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_predict_measures_on_a_seeded_split(testbed: Any, traces: Path) -> None:
    arguments = ("predict", "--traces", str(traces), "--test-people", "4")
    figures = testbed(*arguments, "--predictor", "svr", "--json").json
    # 60 positions give 55 windows of 5 with a successor
    assert (figures["n_train"], figures["n_test"]) == (6 * 55, 4 * 55)
    assert figures["top1"] > 0.9  # all walk straight on
    assert figures["mae_m"] < 1
    assert testbed(*arguments, "--predictor", "stay", "--json").json["top1"] == 0
    assert testbed(*arguments, "--json").json == figures
    assert "top 1" in testbed(*arguments).out


@pytest.mark.parametrize("predictor", ["markov", "velocity", "ridge", "visits"])
def test_predict_measures_every_kind_of_predictor(
    testbed: Any, traces: Path, monkeypatch: pytest.MonkeyPatch, predictor: str
) -> None:
    monkeypatch.setattr("testbed.mobility.visits._EPOCHS", 1)
    arguments = ("predict", "--traces", str(traces), "--test-people", "4", "--json")
    figures = testbed(*arguments, "--predictor", predictor).json
    assert (figures["n_train"], figures["n_test"]) == (6 * 55, 4 * 55)
    assert figures["top1"] <= figures["top2"] <= 1


@pytest.mark.parametrize("setting", ["policy.nope=3", "model.name=resnet", "replay.clients=3"])
def test_settings_that_predictions_do_not_depend_on_are_refused(testbed: Any, setting: str) -> None:
    for command in (("predict",), ("traces", "describe")):
        refused = testbed(*command, "--set", setting)
        assert refused.status == 2
        assert "does not depend on it" in refused.err


def test_predict_takes_a_predictor_of_ones_own(testbed: Any, traces: Path) -> None:
    arguments = ("predict", "--traces", str(traces), "--test-people", "4", "--json")
    own = testbed(*arguments, "--predictor", "testbed.mobility.positions:ConstantVelocity").json
    assert own == testbed(*arguments, "--predictor", "velocity").json
    assert own["mae_m"] == pytest.approx(0, abs=1e-6)
    refused = testbed(*arguments, "--predictor", "testbed.mobility.positions:PositionPredictor")
    assert (refused.status, refused.out) == (2, "")
    assert "abstract" in refused.err


def test_a_share_of_nothing_is_null(testbed: Any, tmp_path: Path) -> None:
    for person in range(3):
        lines = [f"{30 * step} 0 {person}" for step in range(20)]
        (tmp_path / f"sitter_{person}.txt").write_text("\n".join(lines))
    figures = testbed("predict", "--traces", str(tmp_path), "--test-people", "1", "--json").json
    assert figures["top1"] is None
    assert figures["non_futile_share"] == 0


def test_predict_refuses_an_unknown_predictor(testbed: Any, traces: Path) -> None:
    ended = testbed("predict", "--traces", str(traces), "--predictor", "oracle")
    assert (ended.status, ended.out) == (2, "")
    assert "unknown predictor 'oracle'" in ended.err


def test_a_grid_search_prints_every_combination_and_tests_the_best(
    testbed: Any, traces: Path
) -> None:
    arguments = ("predict", "--grid-search", "--traces", str(traces), "--test-people", "4")
    narrow = ("--grid", "kernel=linear", "--grid", "epsilon=0,0.1", "--folds", "2")
    content = testbed(*arguments, *narrow, "--json").json
    assert (content["predictor"], content["people"], content["combinations"]) == ("svr", 6, 4)
    assert [(row["epsilon"], row["tolerance"]) for row in content["rows"]] == [
        *((0, 1e-4), (0, 1e-7), (0.1, 1e-4), (0.1, 1e-7))
    ]
    assert content["best"] in [
        {name: row[name] for name in ("kernel", "epsilon", "tolerance")} for row in content["rows"]
    ]
    assert content["tested"]["n_test"] == 4 * 55
    said = testbed(*arguments, *narrow)
    assert said.status == 0
    assert "4 of 4 combinations, the best first" in said.out
    assert "4 of 4: kernel linear, epsilon 0.1, tolerance 1e-07: " in said.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--grid-search", "--predictor", "markov"), "has no grid"),
        (("--grid", "units=3"), "goes with --grid-search"),
        (("--grid-search", "--grid", "units=3"), "none of the parameters kernel"),
        (("--grid-search", "--folds", "9"), "from 2 to 6"),
    ],
)
def test_grid_searches_that_cannot_be_made_are_refused(
    testbed: Any, traces: Path, arguments: tuple[str, ...], said: str
) -> None:
    refused = testbed("predict", "--traces", str(traces), "--test-people", "4", *arguments)
    assert (refused.status, refused.out) == (2, "")
    assert said in refused.err
