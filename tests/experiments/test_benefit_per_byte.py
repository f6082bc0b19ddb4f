"""The frontier of benefit and bytes, run as a user does on few people."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from testbed.movement import load_people
from testbed.settings.experiment import Experiment, Traces
from tests.experiments.scripts import EXPERIMENTS, printed


def hours_of(people: int, folder: Path) -> Path:
    """Write the first hours of some of the synthetic campus's people in CRAWDAD's format."""
    folder.mkdir()
    settings = Experiment(name="test", traces=Traces(format="synthetic"))
    for number, trace in enumerate(load_people(settings).traces.traces[:people]):
        lines = [f"{30 * step} {x_m} {y_m}" for step, (x_m, y_m) in enumerate(trace.positions_m)]
        (folder / f"{number}.txt").write_text("\n".join(lines[:400]) + "\n")
    return folder


@pytest.mark.slow
def test_the_frontier_has_every_policy_and_judges_the_goals(tmp_path: Path) -> None:
    traces = ("--traces", str(hours_of(12, tmp_path / "traces")), "--splits", "1")
    found = printed("benefit_per_byte", tmp_path / "out", *traces, "--models", "mobilenet")
    rows = {(row["choice"], row["parameter"]): row for row in found["rows"]}
    assert {choice for choice, parameter in rows if parameter is None} == {
        *("IONN", "pull", "routing", "cloud", "optimal", "download", "handoff", "all client")
    }
    reference, best = rows["circles", 100.0], rows["optimal", None]
    assert (reference["queries_share"], reference["bytes_share"]) == (1, 1)
    most = 1.002 * best["queries_after"]  # when a query comes, before a step or after it, is chance
    assert all(row["queries_after"] <= most for row in rows.values())
    assert rows["IONN", None]["hit_ratio"] == 0 == rows["IONN", None]["backhaul_gb"]
    benefit = [row for (choice, _), row in rows.items() if choice == "benefit"]
    sent = [row["bytes_share"] for row in benefit]
    assert len(sent) == 10 and sent == sorted(sent, reverse=True)
    assert rows["oracle", 0.0]["hit_ratio"] > max(row["hit_ratio"] for row in benefit)
    assert [(goal["goal"], goal["chosen"] >= goal["met"]) for goal in found["goals"]] == [
        ("98% for 33%", True),
        ("99% for 50%", True),
    ]
    assert (tmp_path / "out" / "figures" / "frontier.png").stat().st_size > 10_000


def test_goals_that_no_setting_meets_in_training_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_venv", "benefit_per_byte"):  # are forgotten afterwards
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    del sys.modules["benefit_per_byte"]
    monkeypatch.syspath_prepend(EXPERIMENTS)
    study: Any = importlib.import_module("benefit_per_byte")
    row = {"choice": "benefit", "parameter": 0.01} | dict.fromkeys(study.FIGURES, 0.5)
    for name in ("walkers", "split_people"):
        monkeypatch.setattr(study, name, lambda *_, **__: (None, None))
    monkeypatch.setattr(study, "for_model", lambda *_: (None, None))
    monkeypatch.setattr(study, "tune", lambda *_: {})
    monkeypatch.setattr(study, "shares", lambda *_: [row])
    someone = SimpleNamespace(people=["walker"])
    movements = SimpleNamespace(people=lambda: None, split=lambda _: [(someone, someone)], splits=1)
    context = SimpleNamespace(movements=movements, models=["resnet"], settings=None)
    goals = study.summarise_goals(pd.DataFrame(study.measure(context)))
    assert [(goal["chosen"], goal["met"], goal["least_benefit"]) for goal in goals] == [
        (0, 0, []),
        (0, 0, []),
    ]
