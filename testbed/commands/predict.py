"""`testbed predict`: how well a predictor knows where people walk next (Table III)."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import asdict
from typing import Any

from testbed.errors import EXIT_COMPLETE
from testbed.output import add_json, print_json
from testbed.settings.experiment import Experiment
from testbed.settings.options import TRACES, add_options, check_read, with_options
from testbed.terminal import print_table

DEFAULTS = Experiment(name="predict")
_READS = (
    *("traces.", "seed", "migration.policy", "migration.predictor", "predictor."),
    "migration.trajectory_length",
)
HELP = "measure a mobility predictor on traces"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_options(parser, DEFAULTS, ("--traces", *TRACES, "--predictor", "--trajectory-length"))
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Train on most of the people, predict each step of the others, and print how good it was."""
    check_read(given, _READS, "testbed predict")
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
    accuracy = try_out(predictor, testing.positions_m, servers_m).accuracy()
    figures = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in asdict(accuracy).items()
    }
    n_train = sum(max(len(trace) - predictor.n, 0) for trace in training.traces)
    return {
        **figures,
        "n_train": n_train,
        "source": people.traces.source,
        "interpolated": people.traces.interpolated,
        "predictor": type(predictor).__name__,
    }


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
