"""The command line of an experiment: settings checked whole, then the machine, then the run."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from testbed.checks import check, check_rates, check_servers
from testbed.errors import EXIT_MACHINE_UNFIT, ConfigurationError
from testbed.exits import exit_with
from testbed.output import add_json
from testbed.repository import RESULTS
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment, to_dict
from testbed.settings.options import Parser, add_cli, add_settings, with_options
from testbed.values import MASTER

if TYPE_CHECKING:
    from testbed.movement import Movement, People
    from testbed.simulation.engine import Links


def main(experiment: Experiment, arguments: list[str] | None = None) -> NoReturn:
    """Run an experiment from the command line; ends the process with the documented status."""

    def parse_and_run() -> int:
        given = parser(experiment).parse_args(arguments)
        settings = with_options(experiment, given)
        return run(settings, given.out, cli=given.cli, as_json=given.json)

    exit_with(parse_and_run)


def parser(experiment: Experiment) -> Parser:
    """Return the parser of an experiment's command line, with every setting."""
    command_line = Parser(description=sys.modules["__main__"].__doc__)
    add_settings(command_line, experiment)
    add_cli(command_line)
    add_json(command_line)
    return command_line


def run(
    experiment: Experiment, out: Path | None, *, cli: bool = False, as_json: bool = False
) -> int:
    """Check the settings, then the machine, and then run the experiment.

    Where everything is as it should be, the process of an emulation becomes the run's launcher and
    does not return.

    Args:
        experiment: with all its settings.
        out: folder for the run, or None for one of its own under `results/`.
        cli: whether Mininet's command line opens when the network is up.
        as_json: whether the run's summary is printed as JSON at its end.

    Raises ConfigurationError: something in the settings cannot be used; nothing has been created.
    """
    if cli and experiment.engine == "simulate":
        raise ConfigurationError("--cli: only an emulation has a network to look at")
    if experiment.compute.machines and experiment.engine == "simulate":
        raise ConfigurationError("compute.machines: only an emulation is spread over machines")
    experiment = check(experiment, out)
    movement = movement_of(experiment)
    experiment = movement.settings
    if movement.made:
        sys.stderr.write(f"{movement.made}\n")
    if experiment.engine == "simulate":
        from rich.console import Console

        from testbed.analysis.summary import print_summary
        from testbed.simulation.engine import execute

        folder = _begin(experiment, out, movement)
        links = _links(experiment, movement)
        status = execute(experiment, movement, folder, links, Console(stderr=True))
        if as_json:
            print_summary(folder)
        return status
    check_rates(experiment)
    if not machine_fit():
        return EXIT_MACHINE_UNFIT
    from testbed.emulation.sandbox import sandbox

    folder = _begin(experiment, out, movement)
    folder.write_training(movement.training.positions_m)
    options = [*(["--cli"] if cli else []), *(["--json"] if as_json else [])]
    sandbox.execute("testbed.emulation", [str(folder.path.resolve()), *options])


def simulate(experiment: Experiment, out: Path, people: People, *, figures: bool) -> None:
    """Simulate an experiment that has been checked, without a word and without signal handlers.

    Args:
        experiment: with all its settings.
        out: folder for the run.
        people: those of its traces, as `testbed.movement.load_people` returns them.
        figures: whether figures and report are made, which takes seconds.

    Raises ConfigurationError: the traces do not hold what the settings ask for, or the folder
    cannot be made.
    """
    from testbed.simulation.engine import simulate as simulate_into

    movement = movement_of(experiment, people)
    experiment = movement.settings
    folder = _begin(experiment, out, movement)
    goes_on = nullcontext(lambda time_s: True)
    simulate_into(
        experiment, movement, folder, _links(experiment, movement), goes_on, figures=figures
    )


def movement_of(experiment: Experiment, people: People | None = None) -> Movement:
    """Return who walks where; nothing is created.

    Raises TraceError or ConfigurationError: the traces cannot be read, or do not hold what the
    settings ask for.
    """
    from testbed.movement import prepare

    movement = prepare(experiment, people)
    check_servers(experiment, {access_point.name for access_point in movement.access_points})
    return movement


def _begin(experiment: Experiment, out: Path | None, movement: Movement) -> RunFolder:
    folder = new_folder(experiment, out)
    folder.write_schedule(movement.schedule)
    return folder


def _links(experiment: Experiment, movement: Movement) -> Links:
    from controllers.paths import Paths
    from topologies.layout import layout_of

    names = [access_point.name for access_point in movement.schedule.access_points]

    def links() -> tuple[Paths, list[float]]:
        backhaul = experiment.backhaul
        layout = layout_of(backhaul.topology, names)
        hosts = [*names, MASTER]  # beside which the cloud is
        paths = Paths(layout, hosts, backhaul.link_bps, backhaul.wireless_links(names))
        return paths, paths.rates_bps

    return links


def machine_fit() -> bool:
    """Have the doctor look at the machine; say what it found where that rules out a run."""
    from rich.console import Console

    from testbed.emulation.fitness import examination

    findings = examination.examine()
    unfit = examination.unfit(findings)
    if unfit:
        examination.print_findings(findings, Console(stderr=True))
    return not unfit


def new_folder(experiment: Experiment, out: Path | None, **further: object) -> RunFolder:
    """Make the folder of a run, of its own under `results/` where none is named.

    `further` stands in config.json beside the settings.
    """
    folder = (
        RunFolder.create(RESULTS, experiment.name, experiment.seed)
        if out is None
        else RunFolder.at(out)
    )
    folder.write_json("config", to_dict(experiment) | further)
    return folder
