"""Means over repetitions and how sure they are."""

from __future__ import annotations

from typing import Any

import pytest
from scipy import stats

from testbed.settings.experiment import Experiment
from testbed.sweep.parameter_study import make_study
from testbed.sweep.results import State, mean_and_half_width, run_rows, table_rows

STUDY = make_study(Experiment(name="walk"), ["policy=ionn,perdnn", "fraction=none,10"], (), 3)


def complete(**figures: Any) -> State:
    return State("complete", figures={"fidelity": "good", **figures})


def states(**of: State) -> dict[str, State]:
    """Return pending runs but for some, by policy and repetition ("ionn_0"), with no fraction."""
    return {
        run.id: of.get(f"{run.configuration.values['policy']}_{run.repetition}", State("pending"))
        if run.configuration.values["fraction"] is None
        else State("pending")
        for run in STUDY.runs
    }


@pytest.mark.parametrize("values", [[1.0, 2.0], [0.2, 0.25, 0.9], [3, 3, 3, 3], list(range(40))])
def test_the_interval_is_students(values: list[float]) -> None:
    mean, half_width = mean_and_half_width(values)
    assert mean == pytest.approx(sum(values) / len(values))
    assert half_width is not None
    if len(set(values)) == 1:
        assert half_width == 0
        return
    low, high = stats.t.interval(0.95, len(values) - 1, mean, stats.sem(values))
    assert (mean - half_width, mean + half_width) == (pytest.approx(low), pytest.approx(high))


def test_known_by_hand() -> None:
    """Two values: t(0.975, 1) = 12.706, times half their distance."""
    assert mean_and_half_width([10, 12]) == (11, pytest.approx(12.7062, abs=1e-4))
    assert mean_and_half_width([5]) == (5, None)
    assert mean_and_half_width([]) == (None, None)


def test_a_row_for_each_configuration_of_its_complete_runs_alone() -> None:
    found = table_rows(
        STUDY,
        states(
            ionn_0=complete(hit_ratio=None, queries=10),
            ionn_1=complete(hit_ratio=0.5, queries=20),
            ionn_2=State("failed", "no luck"),
            perdnn_0=State("complete", figures={"fidelity": "degraded", "queries": 7}),
            perdnn_2=complete(hit_ratio=0.25, queries=9),
        ),
    )
    assert [(row["policy"], row["fraction"], row["n"]) for row in found] == [
        *(("ionn", None, 2), ("ionn", 10, 0), ("perdnn", None, 2), ("perdnn", 10, 0))
    ]
    ionn, none, perdnn, _ = found
    assert (ionn["hit_ratio"], ionn["hit_ratio_ci95"]) == (0.5, None)
    assert (ionn["queries"], ionn["queries_ci95"]) == (15, pytest.approx(63.531, abs=1e-3))
    assert (perdnn["hit_ratio"], perdnn["queries"]) == (0.25, 8)
    assert (ionn["fidelity"], perdnn["fidelity"], none["fidelity"]) == ("good", "degraded", None)
    assert none["queries"] is none["queries_ci95"] is None
    assert all(row.keys() == ionn.keys() for row in found)


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [
        (("not applicable", "not applicable"), "not applicable"),
        (("not applicable", "good"), "good"),
        (("invalid", "not applicable"), "invalid"),
    ],
)
def test_the_worst_verdict_counts_and_simulations_have_none(
    verdicts: tuple[str, str], worst: str
) -> None:
    runs = {f"ionn_{number}": complete(fidelity=each) for number, each in enumerate(verdicts)}
    assert table_rows(STUDY, states(**runs))[0]["fidelity"] == worst


def test_a_row_for_each_run_says_what_became_of_it() -> None:
    rows = run_rows(STUDY, states(ionn_0=complete(queries=10), perdnn_1=State("failed", "why")))
    assert len(rows) == 12
    by_id = {row["id"]: row for row in rows}
    done = by_id["fraction=none,policy=ionn,#0,seed=1"]
    assert done == {
        "id": "fraction=none,policy=ionn,#0,seed=1", "policy": "ionn", "fraction": "none",
        "repetition": 0, "seed": 1, "status": "complete", "reason": None,
        "fidelity": "good", "queries": 10,
    }  # fmt: skip
    failed = by_id["fraction=none,policy=perdnn,#1,seed=2"]
    assert (failed["status"], failed["reason"], failed["seed"]) == ("failed", "why", 2)
    assert [row["status"] for row in rows].count("pending") == 10
