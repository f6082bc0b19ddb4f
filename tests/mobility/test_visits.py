"""Which servers a person visits within the next intervals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from testbed.errors import ConfigurationError
from testbed.mobility import visits
from testbed.mobility.calibration import reliability, visit_forecasts
from testbed.mobility.neighbourhood import NOBODY, ServerIndex
from testbed.mobility.predictor import Candidates, histories
from testbed.mobility.visit_features import REACH_M
from testbed.mobility.visits import HORIZON, VisitPredictor, first_visits
from tests.mobility.walks import commuters, on_line, random_walks, servers_in_a_square

LINE_M = on_line(0.0, 80.0, 160.0, 240.0, 320.0)
TURNING = 0.2  # share of the steps after which a commuter turns round
SQUARE_M = servers_in_a_square(5)
RECENT_M = np.stack(random_walks(30, visits.MEMORY, seed=7))


@pytest.fixture(scope="module")
def commuting() -> VisitPredictor:
    """A predictor that knows people who walk to and fro on a line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visits, "_EPOCHS", 20)
        predictor = VisitPredictor()
        predictor.fit(commuters(60, 80, seed=0, turning=TURNING), LINE_M)
    return predictor


def small(seed: int = 0, people: int = 6) -> VisitPredictor:
    """Return a predictor that has hardly learnt anything, quickly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visits, "_EPOCHS", 1)
        predictor = VisitPredictor()
        predictor.fit(random_walks(people, 60, seed), SQUARE_M)
    return predictor


@pytest.fixture(scope="module")
def wandering() -> VisitPredictor:
    return small()


def as_dicts(candidates: Candidates) -> list[dict[int, tuple[float, ...]]]:
    """Return each person's probabilities by server."""
    return [
        {server: tuple(row) for server, row in zip(*person, strict=True) if server != NOBODY}
        for person in zip(candidates.servers.tolist(), candidates.probability.tolist(), strict=True)
    ]


def assert_equal(found: Candidates, expected: Candidates) -> None:
    for here, there in zip(as_dicts(found), as_dicts(expected), strict=True):
        assert here.keys() == there.keys()
        for server, probability in there.items():
            assert here[server] == pytest.approx(probability, abs=1e-5)


def test_first_visits_are_found_and_unknown_ends_do_not_count_as_none() -> None:
    ahead = np.array([(4, 7, 4, 9), (2, 2, NOBODY, NOBODY), (NOBODY,) * 4])
    person = np.array([0, 0, 0, 0, 1, 1, 2])
    server = np.array([4, 7, 9, 5, 2, 4, 4])
    first, known = first_visits(ahead, person, server)
    assert first.tolist() == [1, 2, 4, 5, 1, 5, 5]
    assert known.tolist() == [4, 4, 4, 4, 2, 2, 0]


def test_what_is_unknown_teaches_nothing() -> None:
    """One feature, two kinds of people: all of what is known of either is the same."""
    features = np.repeat(np.array([[1.0], [-1.0]], dtype=np.float32), 400, axis=0)
    visited = np.arange(800) % 4 == 0
    first = np.where(visited, 1, HORIZON + 1)
    known = np.where(features[:, 0] > 0, HORIZON, 1)  # of the others, only one interval is known
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visits, "_EPOCHS", 80)
        network = visits._trained(features, first, known)
    hazards = torch.sigmoid(network(torch.tensor([[1.0], [-1.0]]))).detach().numpy()
    np.testing.assert_allclose(hazards[:, 0], 0.25, atol=0.03)
    np.testing.assert_allclose(hazards[0, 1:], 0.0, atol=0.05)  # never later, as far as is known
    assert (hazards[1, 1:] > hazards[0, 1:]).all()


def test_the_next_server_of_a_commuter_is_probable(commuting: VisitPredictor) -> None:
    walks = [(1, 0, 1, 2, 3), (3, 4, 3, 2, 1)]
    recent = np.stack([on_line(*(80.0 * each for each in walk)) for walk in walks])
    eastwards, westwards = as_dicts(commuting.candidates(recent))
    for following, back, found in ((4, 2, eastwards), (0, 2, westwards)):
        assert found[following][0] == pytest.approx(1 - TURNING, abs=0.15)
        assert found[back][0] == pytest.approx(TURNING, abs=0.15)


def test_probabilities_on_people_held_out_can_be_believed(commuting: VisitPredictor) -> None:
    index = ServerIndex(LINE_M)
    for intervals in (1, 3, HORIZON):
        forecasts = []
        for path in commuters(30, 80, seed=1, turning=TURNING):
            recent = histories(path, commuting.n, commuting.memory)[:-1]
            attached = index.attached(path[commuting.n - 1 :])
            forecasts.append(visit_forecasts(commuting.candidates(recent), attached, intervals))
        found = reliability(*(np.concatenate(each) for each in zip(*forecasts, strict=True)))
        assert found.calibration_error < 0.05
        assert found.brier_skill > 0.15


def test_a_longer_time_makes_a_visit_more_probable(wandering: VisitPredictor) -> None:
    _, probability = wandering.candidates(RECENT_M)
    assert probability.shape[2] == HORIZON
    assert (np.diff(probability, axis=2) >= 0).all()
    assert (np.diff(probability[probability[..., 0] > 0], axis=1) > 0).any()


def test_candidates_come_most_probable_first_and_are_filled_up_last(
    wandering: VisitPredictor,
) -> None:
    recent = np.concatenate((RECENT_M, RECENT_M[:2] + 230.0, RECENT_M[:1] + 9000.0))
    servers, probability = wandering.candidates(recent)
    assert (np.diff(probability[..., 0], axis=1) <= 0).all()
    padded = servers == NOBODY
    assert padded[:-1].any() and padded[-1].all()
    assert (np.diff(padded.astype(int), axis=1) >= 0).all()
    assert (probability[padded] == 0).all()
    assert (probability[~padded] > 0).all()


def test_the_current_server_is_among_the_candidates(wandering: VisitPredictor) -> None:
    current, distance_m = ServerIndex(SQUARE_M).nearest(RECENT_M[:, -1], 1)
    servers, _ = wandering.candidates(RECENT_M)
    in_reach = distance_m[:, 0] <= REACH_M
    assert in_reach.sum() > 20
    assert (servers == current).any(axis=1)[in_reach].all()


@pytest.mark.parametrize("people_at_once", [1, 7, 30])
def test_how_many_are_asked_for_at_once_changes_nothing(
    wandering: VisitPredictor, monkeypatch: pytest.MonkeyPatch, people_at_once: int
) -> None:
    together = wandering.candidates(RECENT_M)
    monkeypatch.setattr(visits, "_PEOPLE_AT_ONCE", people_at_once)
    assert_equal(wandering.candidates(RECENT_M), together)
    backwards = wandering.candidates(RECENT_M[::-1])
    assert_equal(Candidates(backwards.servers[::-1], backwards.probability[::-1]), together)


def test_a_history_shorter_than_the_memory_is_that_of_training(wandering: VisitPredictor) -> None:
    """In training, the first position is repeated where a path has too few."""
    walk = random_walks(1, 12, seed=3)[0]
    for step, told in enumerate(histories(walk, wandering.n, wandering.memory), wandering.n):
        assert_equal(
            wandering.candidates(walk[np.newaxis, :step]), wandering.candidates(told[np.newaxis])
        )


def test_nobody_has_no_candidates(wandering: VisitPredictor) -> None:
    servers, probability = wandering.candidates(np.empty((0, visits.MEMORY, 2)))
    assert len(servers) == len(probability) == 0


def test_the_same_paths_give_the_same_predictor(wandering: VisitPredictor) -> None:
    torch.manual_seed(999)
    again = small()
    for found, expected in zip(
        again.candidates(RECENT_M), wandering.candidates(RECENT_M), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_training_leaves_the_global_random_numbers_alone() -> None:
    torch.manual_seed(4321)
    before = torch.get_rng_state()
    small(people=1)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("n", [1, 5, 8, 60])
def test_it_needs_five_positions_or_more_and_remembers_at_least_as_many(n: int) -> None:
    predictor = VisitPredictor(n)
    assert predictor.n == max(n, 5)
    assert predictor.memory == max(n, visits.MEMORY)


def test_a_single_window_is_enough_to_learn_from() -> None:
    predictor = VisitPredictor()
    predictor.fit([on_line(*range(6))], on_line(0.0))
    servers, probability = predictor.candidates(on_line(*range(5))[np.newaxis])
    assert servers.tolist() == [[0]]
    assert np.isfinite(probability).all()


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="more than 5"):
        VisitPredictor().fit([np.zeros((5, 2))], LINE_M)
    with pytest.raises(ConfigurationError, match="no server is near"):
        VisitPredictor().fit([np.full((30, 2), 9e5)], LINE_M)


def test_asking_before_fitting_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="fit"):
        VisitPredictor().candidates(RECENT_M)
    with pytest.raises(RuntimeError, match="fit"):
        VisitPredictor().predict(RECENT_M)
