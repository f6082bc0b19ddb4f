"""`testbed predict`: how well a predictor knows where people walk next (Table III)."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from testbed.errors import EXIT_COMPLETE, ConfigurationError
from testbed.output import add_json, print_json
from testbed.settings.experiment import Experiment
from testbed.settings.options import TRACES, add_options, check_read, with_options
from testbed.terminal import print_table

if TYPE_CHECKING:
    from testbed.mobility.accuracy import Accuracy

DEFAULTS = Experiment(name="predict")
_READS = (
    *("traces.", "seed", "migration.policy", "migration.predictor", "predictor."),
    "migration.trajectory_length",
)
HELP = "measure a mobility predictor on traces"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_options(parser, DEFAULTS, ("--traces", *TRACES, "--predictor", "--trajectory-length"))
    text = "try parameters on the people to learn from (svr: half an hour; rnn: many hours)"
    parser.add_argument("--grid-search", action="store_true", help=text)
    text = "values of a parameter that are tried instead, such as units=16,32; may be repeated"
    parser.add_argument("--grid", action="append", metavar="NAME=VALUE,...", default=[], help=text)
    text = (
        "parts of the people to learn from, each predicted from the others (default: %(default)s)"
    )
    parser.add_argument("--folds", type=int, metavar="N", default=3, help=text)
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Train on most of the people, predict each step of the others, and print how good it was."""
    check_read(given, _READS, "testbed predict")
    if given.grid_search:
        return _search(with_options(DEFAULTS, given), given)
    if given.grid:
        raise ConfigurationError("--grid: goes with --grid-search")
    figures = measure(with_options(DEFAULTS, given))
    if given.json:
        print_json(figures)
        return EXIT_COMPLETE
    rows = [
        ("nearest server right (top 1)", _percent(figures["top1"])),
        ("one of the two nearest right (top 2)", _percent(figures["top2"])),
        ("mean error", f"{figures['mae_m']:.1f} m"),
        ("predictions before a change of server", _percent(figures["non_futile_share"])),
        ("predictions to learn from", f"{figures['n_train']:,}"),
        ("predictions tested", f"{figures['n_test']:,}"),
    ]
    if figures["interpolated"]:
        rows.append(("positions interpolated, of all people", f"{figures['interpolated']:,}"))
    print_table(("", ""), rows, title=f"{figures['predictor']} on {figures['source']}")
    sys.stdout.write(
        "Top 1 and top 2 are of the predictions just before a change of server; the server that\n"
        "someone is at is among the candidates, and mostly the first.\n"
    )
    return EXIT_COMPLETE


def _search(settings: Experiment, given: argparse.Namespace) -> int:
    """Try every combination, print each with its score, and the best one on the people tested."""
    from testbed.decision.policies import predictor_name
    from testbed.mobility.accuracy import try_out
    from testbed.mobility.grid_search import GRIDS, Score, best_of, search
    from testbed.movement import load_people
    from testbed.studies.findings import gather, say

    name, n = predictor_name(settings.migration), settings.migration.trajectory_length
    if name not in GRIDS:
        known = ", ".join(GRIDS)
        raise ConfigurationError(f"--grid-search: {name} has no grid; there is one of {known}")
    grid = GRIDS[name].narrowed(given.grid)
    combinations = grid.combinations()
    people = load_people(settings)
    training, testing = people.split(settings)
    whose = [trace.person for trace in training.traces]

    def told() -> Iterator[Score]:
        scores = search(grid, n, training.positions_m, whose, people.servers_m, given.folds)
        for number, score in enumerate(scores, 1):
            tried = ", ".join(f"{key} {_shown(each)}" for key, each in score.parameters.items())
            say(f"{number} of {len(combinations)}: {tried}: {score.mae_m:.2f} m")
            yield score

    scores, status = gather(told())
    content: dict[str, Any] = {
        "predictor": name,
        "source": people.traces.source,
        "interpolated": people.traces.interpolated,
        "people": len(set(whose)),
        "folds": given.folds,
        "combinations": len(combinations),
        "rows": [score.row() for score in scores],
        "best": None,
        "tested": None,
    }
    if scores:
        content["best"] = dict(best_of(scores).parameters)
    if scores and not status:
        predictor = grid.build(n, best_of(scores).parameters)
        predictor.fit(training.positions_m, people.servers_m)
        accuracy = try_out(predictor, testing.positions_m, people.servers_m).accuracy()
        content["tested"] = _figures(accuracy)
    if given.json:
        print_json(content)
    elif scores:
        _print_search(content)
    return status


def _print_search(content: Mapping[str, Any]) -> None:
    rows = sorted(content["rows"], key=lambda row: row["mae_m"])
    print_table(
        (*content["best"], "mean error, m", "not converged", "s"),
        [
            (
                *(_shown(row[name]) for name in content["best"]),
                f"{row['mae_m']:.2f} ± {row['mae_m_sd']:.2f}",
                f"{row['unconverged']} of {content['folds']}",
                f"{row['seconds']:.1f}",
            )
            for row in rows
        ],
        title=f"{content['predictor']} on {content['source']}: {len(rows)} of"
        f" {content['combinations']} combinations, the best first",
    )
    sys.stdout.write(
        f"Means over {content['folds']} folds of the {content['people']} people to learn from;"
        " nobody is in two of them,\nand the people who are tested were not looked at.\n"
    )
    if tested := content["tested"]:
        sys.stdout.write(
            "The best one, learnt from all of them, on the people who are tested:"
            f" {tested['mae_m']:.1f} m, top 1 {_percent(tested['top1'])},"
            f" top 2 {_percent(tested['top2'])}\n"
        )


def _figures(accuracy: Accuracy) -> dict[str, Any]:
    """Return figures ready for JSON, null for what is not defined."""
    return {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(accuracy).items()
    }


def measure(settings: Experiment) -> dict[str, Any]:
    """Return accuracy (shares 0 to 1, metres) and the numbers of predictions, ready for JSON.

    Raises ConfigurationError: no such predictor, or traces that cannot be read or split.
    """
    from testbed.decision.policies import build_predictor
    from testbed.mobility.accuracy import try_out
    from testbed.movement import load_people

    predictor = build_predictor(settings)
    people = load_people(settings)
    training, testing = people.split(settings)
    servers_m = people.servers_m
    predictor.fit(training.positions_m, servers_m)
    figures = _figures(try_out(predictor, testing.positions_m, servers_m).accuracy())
    n_train = sum(max(len(trace) - predictor.n, 0) for trace in training.traces)
    return {
        **figures,
        "n_train": n_train,
        "source": people.traces.source,
        "interpolated": people.traces.interpolated,
        "predictor": type(predictor).__name__,
    }


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
