"""An experiment on whole data sets: what is measured over splits of the people, and shown.

A file in `experiments/` declares a `Study` and calls `main`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pandas as pd

from testbed.decision.policies import build_predictor
from testbed.dnn.models.published import published_graph
from testbed.dnn.partitioning.planners import layer_index, planner_of
from testbed.errors import ConfigurationError
from testbed.exits import exit_with
from testbed.launch import new_folder
from testbed.output import add_json
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment, Model
from testbed.settings.options import Parser, add_settings, check_read
from testbed.studies import paper
from testbed.studies.findings import Findings, Row, gather
from testbed.studies.movements import Movements, load

#: What a study of movement depends on, one of predictions, and one of policies on whole traces.
MOVEMENT = ("traces.", "seed")
PREDICTIONS = (*MOVEMENT, "migration.trajectory_length")
WHOLE_TRACES = (
    *(*PREDICTIONS, "predictor."),
    *("wireless.up_bps", "wireless.down_bps", "model.input_shape", "model.query_gap_s"),
    *("model.client_device", "model.server_device", "model.planner", "model.static_cut"),
    *("migration.ttl_intervals", "migration.retain_uploads", "migration.keep_after_leaving"),
    *("migration.predictor", "server.cloud_round_trip_s"),
)


@dataclass(frozen=True)
class Context:
    """What a study looks at."""

    given: argparse.Namespace  # the command line
    movements: Movements
    models: Sequence[str]  # of the paper that were asked for
    folder: RunFolder  # where what comes out is kept
    #: What `measure` hands to `conclude` beside its rows.
    extra: dict[Any, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Experiment:
        """All settings."""
        return self.movements.settings


@dataclass(frozen=True)
class Study:
    """What an experiment on whole data sets declares."""

    experiment: Experiment  # its name, and settings that differ from the usual ones
    #: Yields rows of figures, those of a split (`split`) together.
    measure: Callable[[Context], Iterator[Row]]
    #: Makes of all rows what is shown.
    conclude: Callable[[Context, pd.DataFrame], Findings]
    #: The beginnings of the paths of settings that it depends on; others are refused.
    reads: Sequence[str] = WHOLE_TRACES
    models: Sequence[str] = ()  # of the paper, by default; none: it depends on no model
    splits: int = 5  # of the people, by default
    options: Callable[[Parser], None] = lambda parser: None  # adds what the study alone has
    #: Raises ConfigurationError for what of that cannot be used.
    check: Callable[[argparse.Namespace], object] = lambda given: None
    load: Callable[[Experiment, argparse.Namespace], Movements] = load
    #: Does something else with the command line where it returns a status.
    instead: Callable[[Experiment, argparse.Namespace, Movements], int | None] = lambda *_: None


def main(study: Study) -> NoReturn:
    """Carry a study out; ends the process with the documented status."""
    exit_with(lambda: carry_out(study, parser(study).parse_args()))


def parser(study: Study) -> Parser:
    """Return the parser of a study's command line."""
    command_line = Parser(description=sys.modules["__main__"].__doc__)
    where = f"new folder (default: results/{study.experiment.name}/RUN-ID)"
    add_settings(command_line, study.experiment, where, study.reads)
    if study.models:
        models = ",".join(study.models)
        text = "models of the paper (default: %(default)s)"
        command_line.add_argument("--models", default=models, metavar="NAME,NAME,...", help=text)
    text = "of the people (default: %(default)s)"
    command_line.add_argument("--splits", type=int, default=study.splits, metavar="N", help=text)
    study.options(command_line)
    add_json(command_line)
    return command_line


def carry_out(study: Study, given: argparse.Namespace) -> int:
    """Measure, keep, draw and print; return the exit status.

    After Ctrl-C, what was measured is kept; of several splits, one that was cut short is left out.
    """
    experiment = study.experiment
    check_read(given, study.reads, experiment.name)
    models = models_of(given) if study.models else []
    study.check(given)
    movements = study.load(experiment, given)
    if (instead := study.instead(experiment, given, movements)) is not None:
        return instead
    if "migration.predictor" in study.reads:
        build_predictor(movements.settings)  # refused before a folder is made
    if "model.planner" in study.reads:
        _check_planner(movements.settings.model, models)
    folder = new_folder(movements.settings, given.out, splits=movements.splits)
    context = Context(given, movements, models, folder)
    found, status = gather(study.measure(context))
    if not found:
        return status
    rows = pd.DataFrame(found)
    if status and "split" in rows:
        sizes = rows["split"].map(rows["split"].value_counts())
        rows = rows[sizes == sizes.iloc[0]]  # whole splits have as many rows as the first
    if "split" in rows:
        rows.to_csv(folder.path / "splits.csv", index=False)
    study.conclude(context, rows).deliver(folder, as_json=given.json)
    return status


def _check_planner(model: Model, models: Sequence[str]) -> None:
    """Raise ConfigurationError for a planner that is impossible, or impossible for a model."""
    planner_of(model)
    if model.static_cut is not None:
        for name in models:
            layer_index(published_graph(name), model.static_cut)


def models_of(given: argparse.Namespace) -> list[str]:
    """Return the models of --models, each once; ConfigurationError for one that is unknown."""
    models = list(dict.fromkeys(given.models.split(",")))
    if unknown := ", ".join(sorted(set(models) - set(paper.MODELS))):
        known = ", ".join(paper.MODELS)
        raise ConfigurationError(f"--models: {unknown} is none of the paper's: {known}")
    return models


def numbers(option: str, text: str, what: str = "numbers above 0, such as 1,10") -> list[float]:
    """Return the numbers of a list such as 1,10.5; ConfigurationError unless all are above 0."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = [0.0]
    if not all(0 < each < 1e12 for each in found):
        raise ConfigurationError(f"{option} {text}: {what}")
    return found
