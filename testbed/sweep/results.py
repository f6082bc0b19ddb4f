"""What a study found: a row for each run, and means over repetitions with their confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any, Literal

from testbed.sweep.parameter_study import Configuration, ParameterStudy

Status = Literal["complete", "failed", "pending"]

#: What follows the name of a figure in the name of its confidence interval.
HALF_WIDTH = "_ci95"

_CONFIDENCE = 0.95
_VERDICTS = ("not applicable", "good", "degraded", "invalid")  # the worst last


@dataclass(frozen=True)
class State:
    """What became of a run."""

    status: Status  # "pending" where it has not been made, or not to its end
    reason: str | None = None  # why it failed
    figures: Mapping[str, Any] | None = None  # those of summary.json of a complete run


def run_rows(study: ParameterStudy, states: Mapping[str, State]) -> list[dict[str, Any]]:
    """Return a row for each run: what it was, what became of it, and its figures."""
    return [
        {
            "id": run.id,
            **run.configuration.shown,
            "repetition": run.repetition,
            "seed": run.settings.seed,
            "status": state.status,
            "reason": state.reason,
            **(state.figures or {}),
        }
        for run, state in ((run, states[run.id]) for run in study.runs)
    ]


def table_rows(study: ParameterStudy, states: Mapping[str, State]) -> list[dict[str, Any]]:
    """Return a row for each configuration: `n` complete runs, mean and interval of each figure.

    The interval is the half width of the mean's 95 % confidence interval by Student's t, named
    after the figure with `HALF_WIDTH`. Runs that do not define a figure are left out of it; what
    no run defines, and the interval of a single value, are None. `fidelity` is the worst.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for run in study.runs:
        figures = states[run.id].figures
        found.setdefault(run.configuration.label, []).extend([] if figures is None else [figures])
    names = _names([figures for each in found.values() for figures in each])
    return [_table_row(each, found[each.label], names) for each in study.configurations]


def _names(figures: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names of the figures that are numbers in any run, in the runs' order."""
    values = [item for each in figures for item in each.items()]
    numbers = {name for name, value in values if type(value) in (int, float)}
    return [name for name in dict(values) if name in numbers]


def _table_row(
    configuration: Configuration, figures: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
    row: dict[str, Any] = {**configuration.values, "n": len(figures)}
    for name in names:
        values = [each[name] for each in figures if each.get(name) is not None]
        row[name], row[name + HALF_WIDTH] = mean_and_half_width(values)
    row["fidelity"] = max((each["fidelity"] for each in figures), key=_VERDICTS.index, default=None)
    return row


def mean_and_half_width(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Return the mean and the half width of its 95 % confidence interval by Student's t.

    None stands for what so few values do not tell.
    """
    if not values:
        return None, None
    if len(values) == 1:
        return float(values[0]), None
    from scipy.special import stdtrit

    quantile = float(stdtrit(len(values) - 1, (1 + _CONFIDENCE) / 2))
    return fmean(values), quantile * stdev(values) / sqrt(len(values))
