"""A study's configurations, and what its runs are called."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from testbed.errors import ConfigurationError
from testbed.settings.experiment import Experiment, Migration, to_dict
from testbed.sweep.parameter_study import ParameterStudy, checked, make_study

SETTINGS = Experiment(name="walk", seed=3, migration=Migration(radius_m=30))


def study(*vary: str, constraints: Sequence[str] = (), repeat: int = 1) -> ParameterStudy:
    return make_study(SETTINGS, vary, constraints, repeat)


def ids(made: ParameterStudy) -> list[str]:
    return [run.id for run in made.runs]


def test_runs_are_the_product_of_all_values_and_repetitions() -> None:
    made = study("radius=50,75", "policy=perdnn,ionn", repeat=2)
    assert ids(made) == [
        f"policy={policy},radius={radius},#{number},seed={3 + number}"
        for number in (0, 1)
        for radius in (50, 75)
        for policy in ("perdnn", "ionn")
    ]
    assert len({run.id for run in made.runs}) == 8
    settings = made.runs[5].settings
    assert (settings.seed, settings.migration.policy) == (4, "ionn")
    assert settings.migration.radius_m == 50
    assert settings.name == "walk"


def test_a_repetition_has_the_same_seed_in_every_configuration() -> None:
    made = study("policy=ionn,perdnn,optimal", repeat=5)
    for number in range(5):
        assert {run.settings.seed for run in made.runs if run.repetition == number} == {3 + number}


def test_ids_do_not_depend_on_the_order_or_on_what_else_is_run() -> None:
    one = study("radius=50", "policy=ionn")
    more = study("policy=perdnn,ionn", "migration.radius_m=10,50.0", repeat=3)
    assert set(ids(one)) <= set(ids(more))
    assert one.digest == more.digest


def test_the_digest_is_of_what_does_not_vary() -> None:
    made = study("radius=50")
    assert made.digest == make_study(Experiment(name="walk", seed=3), ["radius=9"], (), 1).digest
    assert made.digest != study("policy=ionn").digest
    assert made.digest != study("radius=50", "policy=ionn").digest
    assert made.fixed["seed"] == 3
    assert "radius_m" not in made.fixed["migration"]
    assert made.fixed == json.loads(json.dumps(made.fixed))


def test_without_variables_the_experiment_lends_its_name() -> None:
    assert ids(study(repeat=2)) == ["walk,#0,seed=3", "walk,#1,seed=4"]


def test_seeds_may_vary_themselves() -> None:
    made = study("seed=7,9")
    assert ids(made) == ["seed=7,#0", "seed=9,#0"]
    assert [run.settings.seed for run in made.runs] == [7, 9]


@pytest.mark.parametrize(
    "values",
    [
        ["a/b", "a b", "a-b", "a:b", "a~b", "a", "../a", "ä", "a,radius=50", "#0"],
        ["x" * 60 + str(number) for number in range(20)],
        ["none ", "50", "50.0", "5e1", "", "~"],
    ],
)
def test_odd_and_long_values_give_safe_names_that_never_collide(values: list[str]) -> None:
    made = study(f"model={json.dumps(values)}")
    assert len(set(ids(made))) == len(values)
    for run_id in ids(made):
        assert run_id.isascii()
        assert not set(run_id) & set("/\\ :*?\"'<>|\n")
        assert len(run_id) < 100


def test_many_long_values_still_make_a_name_that_a_folder_can_have() -> None:
    paths = ["policy", "model", "topology", "controller", "traces", "migration.predictor"]
    paths += ["model.client_device", "model.server_device", "name"]
    made = study(*(f"{path}={'y' * 90},{'y' * 91}" for path in paths))
    assert len(set(ids(made))) == 2 ** len(paths)
    assert max(map(len, ids(made))) < 200


def test_only_what_a_constraint_admits_is_made() -> None:
    made = study(
        "policy=ionn,perdnn", "radius=50,75", constraints=["policy == 'perdnn' or radius == 50"]
    )
    assert [dict(each.values) for each in made.configurations] == [
        {"policy": "ionn", "radius": 50},
        {"policy": "perdnn", "radius": 50},
        {"policy": "perdnn", "radius": 75},
    ]


def test_a_constraint_may_leave_out_what_cannot_be() -> None:
    """Layers are offered from one probability on and kept down to another, never the reverse."""
    offers = "migration.offer_probability=0.1,0.5"
    keeps = "migration.keep_probability=0.05,0.2"
    with pytest.raises(ConfigurationError) as refused:
        checked(study("policy=visits", offers, keeps))
    named = "policy=visits, policy.offer_probability=0.1, policy.keep_probability=0.2"
    assert str(refused.value).startswith(f"{named}: policy: keep_probability 0.2 is above")
    allowed = "`policy.keep_probability` <= `policy.offer_probability`"
    made = checked(study("policy=visits", offers, keeps, constraints=[allowed]))
    assert len(made.configurations) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"vary": ["radius=50,-1"]}, "radius=-1: migration.radius_m"),
        ({"vary": ["radius=50"], "constraints": ["radius > 60"]}, "no configuration meets"),
        ({"constraints": ["radius > 60"]}, "nothing varies"),
        ({"repetitions": 0}, "repeat at least once"),
        ({"vary": ["seed=1,2"], "repetitions": 2}, "--vary seed"),
        ({"vary": ["radius=1..9999", "ttl=1..9999"]}, "99,980,001 runs are more than"),
        ({"vary": ["radius=1..9999"], "repetitions": 1000}, "9,999,000 runs"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make_study(SETTINGS, **{"vary": (), "constraints": (), "repetitions": 1, **arguments})
    assert said in str(refused.value)


def test_settings_of_a_run_are_all_but_what_varies_the_experiments() -> None:
    (run,) = study("policy=ionn").runs
    values = to_dict(SETTINGS)
    values["migration"]["policy"] = "ionn"
    assert to_dict(run.settings) == values
