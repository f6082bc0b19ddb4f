"""`testbed sweep`: a parameter study, in many runs that are resumed where they were left off."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from testbed.commands.run import read
from testbed.errors import (
    EXIT_COMPLETE,
    EXIT_INTERRUPTED,
    EXIT_MACHINE_UNFIT,
    ConfigurationError,
    TestbedError,
)
from testbed.output import add_json, print_json
from testbed.settings.experiment import Experiment
from testbed.settings.options import Parser, add_settings, with_options
from testbed.terminal import print_table

if TYPE_CHECKING:
    from testbed.sweep.campaign import Backend
    from testbed.sweep.ledger import Ledger

HELP = "run an experiment with every combination of some settings, and sum up"
_OUT = "folder for the sweep; the same command goes on in it (default: results/NAME/sweep-HASH)"

#: Figures in the table for people: key, heading, how much of its unit is one, format.
_SHOWN = (
    ("hit_ratio", "hit ratio", 1, ".3f"),
    ("queries", "queries", 1, ",.0f"),
    ("cold_start_queries", "cold start", 1, ",.0f"),
    ("migrated_bytes", "migrated GB", 1e9, ".2f"),
    ("peak_uplink_mbps", "uplink Mbit/s", 1, ".0f"),
)


def add_arguments(parser: Parser) -> None:
    """Add the command's arguments, and every option of an experiment for what does not vary."""
    parser.add_argument(
        "experiment",
        type=Path,
        metavar="EXPERIMENT",
        help="experiments/NAME.py that declares one; or a config.json, or the folder of a run",
    )
    parser.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="NAME=V1,V2,...",
        help="a setting and its values, by its option or path: radius=50,75 or"
        " 'radius=50..150 step 25' or traces.gap_s=none,60 or 'model=[\"a,b\"]' (JSON)",
    )
    parser.add_argument(
        "--constraint",
        action="append",
        default=[],
        metavar="CONDITION",
        help="which combinations run, such as \"policy == 'perdnn' or radius == 50\"; names with"
        " dots or dashes in backticks; of several, all hold",
    )
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="N", help="runs of each, with seeds from --seed on"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="simulated runs at once (default: one a processor)"
    )
    parser.add_argument(
        "--backend", choices=("joblib", "dask"), default="joblib", help="(default: %(default)s)"
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of Dask, such as tcp://host:8786")
    parser.add_argument(
        "--keep",
        choices=("tables", "summary"),
        default="tables",
        help="what stays of a run (default: %(default)s)",
    )
    parser.add_argument(
        "--figures", action="store_true", help="make figures and report of simulated runs too"
    )
    add_json(parser)
    add_settings(parser, None, out=_OUT)


def run(given: argparse.Namespace) -> int:
    """Make the runs that are not there yet, and print the means of all."""
    from testbed.emulation.closing import give_to_user
    from testbed.repository import RESULTS
    from testbed.sweep.campaign import make_runs
    from testbed.sweep.ledger import Ledger
    from testbed.sweep.parameter_study import checked, make_study

    _check_usage(given)
    settings = with_options(_experiment(given.experiment), given)
    study = checked(make_study(settings, given.vary, given.constraint, given.repeat))
    folder = given.out or RESULTS / settings.name / f"sweep-{study.digest}"
    ledger = Ledger(folder.resolve(), study)
    with ExitStack() as stack:
        backend = _backend(given, stack)
        emulated = any(each.settings.engine == "emulate" for each in ledger.pending)
        if emulated and not _fit(backend):
            return EXIT_MACHINE_UNFIT
        stack.enter_context(ledger.opened())
        ended = make_runs(ledger, backend, keep=given.keep, figures=given.figures)
        give_to_user(ledger.folder)
    _print(ledger, given.json)
    if not ended:
        _say(f"interrupted with {len(ledger.pending)} runs to go; the same command goes on")
        return EXIT_INTERRUPTED
    return TestbedError.exit_status if ledger.failed else EXIT_COMPLETE


def _check_usage(given: argparse.Namespace) -> None:
    if given.backend == "dask" and given.scheduler is None:
        raise ConfigurationError("--backend dask: name its scheduler, --scheduler tcp://HOST:PORT")
    if given.backend != "dask" and given.scheduler is not None:
        raise ConfigurationError("--scheduler: goes with --backend dask")
    if given.backend == "dask" and given.jobs is not None:
        raise ConfigurationError("--jobs: a cluster has as many workers as were started")
    if given.jobs is not None and given.jobs < 1:
        raise ConfigurationError(f"--jobs {given.jobs}: at least one run is made at once")


def _experiment(path: Path) -> Experiment:
    if path.suffix != ".py":
        return read(path)
    from testbed.sweep.declaration import declared_experiment

    return declared_experiment(path)


def _backend(given: argparse.Namespace, stack: ExitStack) -> Backend:
    if given.backend == "dask":
        from testbed.sweep.cluster import Cluster

        return stack.enter_context(Cluster(given.scheduler))
    from testbed.sweep.local import Local

    return Local(given.jobs)


def _fit(backend: Backend) -> bool:
    """Have the doctor look at each machine; say what it found where that rules out a run."""
    from testbed.emulation.fitness import examination

    console = Console(stderr=True)
    fit = True
    for machine, findings in backend.examine().items():
        if examination.unfit(findings):
            console.print(machine, highlight=False)
            examination.print_findings(findings, console)
            fit = False
    return fit


def _print(ledger: Ledger, as_json: bool) -> None:
    from testbed.sweep.results import table_rows

    rows = table_rows(ledger.study, ledger.states)
    failed = [{"id": run_id, "reason": reason} for run_id, reason in ledger.failed.items()]
    if as_json:
        print_json({"rows": rows, "failed": failed, "folder": str(ledger.folder)})
        return
    variables = [variable.name for variable in ledger.study.variables]
    unremarkable = (None, "not applicable", "good")
    verdict = ["fidelity"] if any(row["fidelity"] not in unremarkable for row in rows) else []
    print_table(
        (*variables, "n", *(heading for _, heading, _, _ in _SHOWN), *verdict),
        [
            (
                *configuration.shown.values(),
                row["n"],
                *(_mean(row, key, unit, form) for key, _, unit, form in _SHOWN),
                *(row[name] for name in verdict),
            )
            for row, configuration in zip(rows, ledger.study.configurations, strict=True)
        ],
        title="mean of n runs ± half width of its 95 % confidence interval",
    )
    if failed:
        print_table(("run", "reason"), [tuple(each.values()) for each in failed], title="Failed")
    _say(f"files: {ledger.folder}")


def _mean(row: dict[str, Any], key: str, unit: float, form: str) -> str:
    from testbed.sweep.results import HALF_WIDTH

    mean, half_width = row.get(key), row.get(key + HALF_WIDTH)
    if mean is None:
        return "-"
    shown = f"{mean / unit:{form}}"
    return shown if half_width is None else f"{shown} ± {half_width / unit:{form}}"


def _say(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)
