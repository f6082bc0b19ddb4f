"""Predictors on the paper's data, where they are at hand: Table III, and who gets layers when."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from testbed.decision.policies import PerDnn, Visits
from testbed.mobility.accuracy import Accuracy, try_out
from testbed.mobility.calibration import reliability, visit_forecasts
from testbed.mobility.predictors import find_predictor
from testbed.mobility.visits import HORIZON
from testbed.movement import People, load_people
from testbed.settings.experiment import Experiment, Migration, Traces
from testbed.simulation.offering import Foreseen, Offering, foresee, offer

KAIST = Path(__file__).resolve().parents[3] / "shared" / "data" / "kaist"
SPLITS = 5  # of the people: the figures of one are several points from another's

pytestmark = pytest.mark.skipif(not KAIST.is_dir(), reason="the KAIST data are not at hand")


def settings(seed: int = 0) -> Experiment:
    return Experiment(name="kaist", seed=seed, traces=Traces(path=str(KAIST)))


@pytest.fixture(scope="module")
def people() -> People:
    return load_people(settings())


def accuracies(name: str, people: People) -> list[Accuracy]:
    """Return a predictor's figures on several splits."""
    found = []
    for seed in range(SPLITS):
        training, testing = people.split(settings(seed))
        predictor = find_predictor(name)(5)
        predictor.fit(training.positions_m, people.servers_m)
        found.append(try_out(predictor, testing.positions_m, people.servers_m).accuracy())
    return found


def foreseen(name: str, people: People) -> list[Foreseen]:
    """Return what a predictor says of the people of the first split."""
    training, testing = people.split(settings())
    predictor = find_predictor(name)(5)
    predictor.fit(training.positions_m, people.servers_m)
    return foresee(predictor, testing.positions_m, people.servers_m)


@pytest.fixture(scope="module")
def visits(people: People) -> list[Foreseen]:
    return foreseen("visits", people)


@pytest.fixture(scope="module")
def svr(people: People) -> list[Foreseen]:
    return foreseen("svr", people)


@pytest.mark.parametrize(
    ("name", "top1", "top2"), [("markov", 0.046, 0.444), ("svr", 0.081, 0.541)]
)
def test_predictors_are_as_accurate_as_in_table_3(
    people: People, name: str, top1: float, top2: float
) -> None:
    found = accuracies(name, people)
    assert np.mean([each.top1 for each in found]) == pytest.approx(top1, abs=0.04)
    assert np.mean([each.top2 for each in found]) == pytest.approx(top2, abs=0.04)
    assert np.mean([each.non_futile_share for each in found]) == pytest.approx(0.16, abs=0.02)


def test_the_mean_error_of_svr_is_that_of_table_3(people: People) -> None:
    errors_m = [each.mae_m for each in accuracies("svr", people)]
    assert np.mean(errors_m) == pytest.approx(12.9, abs=2.0)


def circles(svr: list[Foreseen], people: People, radius_m: float) -> Offering:
    """Return what comes of the paper's policy."""
    policy = PerDnn(Migration(radius_m=radius_m))
    return offer(policy, svr, people.access_points)


def by_probability(visits: list[Foreseen], people: People, offer_probability: float) -> Offering:
    policy = Visits(Migration(), Visits.Settings(offer_probability=offer_probability))
    return offer(policy, visits, people.access_points)


def test_visits_reach_the_hit_ratio_of_wide_circles_with_three_quarters_of_the_transfers(
    people: People, svr: list[Foreseen], visits: list[Foreseen]
) -> None:
    wide, found = circles(svr, people, 100.0), by_probability(visits, people, 0.05)
    assert found.handovers == wide.handovers > 5000
    assert found.hit_ratio >= wide.hit_ratio
    assert found.transfers <= 0.75 * wide.transfers


def test_visits_hit_more_often_than_narrow_circles_with_as_many_transfers(
    people: People, svr: list[Foreseen], visits: list[Foreseen]
) -> None:
    narrow, found = circles(svr, people, 50.0), by_probability(visits, people, 0.3)
    assert found.transfers <= narrow.transfers
    assert found.hit_ratio >= 1.25 * narrow.hit_ratio


@pytest.mark.parametrize("intervals", [1, HORIZON])
def test_the_probabilities_of_visits_can_be_believed(
    visits: list[Foreseen], intervals: int
) -> None:
    forecasts = [visit_forecasts(each.candidates, each.attached, intervals) for each in visits]
    found = reliability(*(np.concatenate(each) for each in zip(*forecasts, strict=True)))
    assert found.calibration_error < 0.005
    assert found.brier_skill > 0.1
