"""Settings that a policy or a predictor declares as its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import pytest
from msgspec import Meta

from testbed.decision.policies import PerDnn, PolicySettings, Situation, build_policy, resolved
from testbed.decision.policy import Policy
from testbed.errors import ConfigurationError
from testbed.mobility.regression import LinearSvr
from testbed.settings.experiment import Experiment, changed
from tests.decision.situations import situation


class Nearest(PerDnn):
    """As a user writes one."""

    class Settings(PolicySettings, frozen=True, kw_only=True):
        """How many."""

        most: Annotated[int, Meta(ge=1, description="so many servers get layers")] = 1

    def destinations(self, situation: Situation) -> Sequence[str]:
        return super().destinations(situation)[: self.own.most]


class Required(PerDnn):
    class Settings(PolicySettings, frozen=True, kw_only=True):
        most: int


class Plain(PerDnn):
    class Settings:  # type: ignore[assignment]
        most = 1


class Failing(PerDnn):
    def __init__(self, *arguments: object) -> None:
        raise KeyError("home")


class Silent(Policy):
    pass


class FailingPredictor(LinearSvr):
    def __init__(self, n: int) -> None:
        raise OSError("no disk")


NEAREST = {"migration.policy": f"{__name__}:Nearest", "migration.radius_m": 50.0}
PLAIN = Experiment(name="x")


def test_a_policy_declares_settings_of_its_own() -> None:
    one = build_policy(changed(PLAIN, NEAREST))
    two = build_policy(changed(PLAIN, NEAREST | {"policy.most": 2}))
    assert one.destinations(situation()) == ["near"]
    assert two.destinations(situation()) == ["near", "beside"]


def test_what_runs_is_kept_with_all_settings_that_the_classes_declare() -> None:
    assert resolved(changed(PLAIN, NEAREST)).policy == {"most": 1}
    rnn = resolved(changed(PLAIN, {"migration.predictor": "rnn", "predictor.units": 16}))
    assert (rnn.policy, rnn.predictor) == ({}, {"units": 16})


def test_own_settings_go_with_the_class_that_has_them() -> None:
    visits = changed(PLAIN, {"migration.policy": "visits", "policy.offer_probability": 0.2})
    assert changed(visits, {"migration.radius_m": 60}).policy == {"offer_probability": 0.2}
    assert changed(visits, {"migration.policy": "perdnn"}).policy == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy.most": 0}, r"policy\.most: Expected .* >= 1, got 0"),
        ({"policy.mots": 2}, "did you mean 'most'"),
        ({"predictor.units": 2}, r"predictor\.units: predictor 'svr' has no settings of its own"),
        ({"migration.predictor": "rnn", "predictor.units": "two"}, r"predictor\.units: .*'two'"),
    ],
)
def test_own_settings_that_cannot_be_are_refused_by_name(
    changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        resolved(changed(PLAIN, NEAREST | changes))


@pytest.mark.parametrize(
    ("setting", "name", "message"),
    [
        ("migration.policy", "Required", r"Settings\.most needs a default"),
        ("migration.policy", "Plain", r"must be a subclass of testbed\.decision\.policy\.Policy"),
        ("migration.policy", "Failing", r"Failing' cannot be made: KeyError: 'home'"),
        ("migration.policy", "Silent", "is abstract"),
        ("migration.predictor", "FailingPredictor", "cannot be made: OSError: no disk"),
    ],
)
def test_classes_that_cannot_be_used_are_refused(setting: str, name: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        resolved(changed(PLAIN, {setting: f"{__name__}:{name}"}))


def test_layers_are_kept_at_least_as_readily_as_they_are_offered() -> None:
    probabilities = {"policy.keep_probability": 0.2, "policy.offer_probability": 0.1}
    with pytest.raises(ConfigurationError, match=r"keep_probability 0\.2 is above"):
        resolved(changed(PLAIN, {"migration.policy": "visits"} | probabilities))
