"""The command line of an experiment: settings checked whole, then the machine, then the run."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from msgspec.structs import replace

from testbed.checks import beside_obstacle, check, check_rates, check_servers
from testbed.errors import EXIT_MACHINE_UNFIT, ConfigurationError
from testbed.exits import exit_with
from testbed.output import add_json
from testbed.repository import RESULTS
from testbed.runs.folder import RunFolder
from testbed.runs.warm_start import WarmStart
from testbed.settings.experiment import Experiment, to_dict
from testbed.settings.options import Parser, add_cli, add_settings, with_options
from testbed.values import Schedule

if TYPE_CHECKING:
    from testbed.movement import Movement, People


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
    for said in (walked(movement.schedule), movement.made):
        if said:
            sys.stderr.write(f"{said}\n")
    if experiment.engine == "simulate":
        from rich.console import Console

        from testbed.analysis.summary import print_summary
        from testbed.simulation.engine import execute

        folder, begins = _begin(experiment, out, movement)
        console = Console(stderr=True)
        status = execute(experiment, movement, folder, console, begins)
        if as_json:
            print_summary(folder)
        return status
    experiment = _placed(experiment)
    if experiment.compute.tdf == "auto":
        experiment = _paced(experiment, len(movement.schedule.access_points))
    check_rates(experiment)
    if experiment.simulation.beside and (why := beside_obstacle(experiment)) is not None:
        sys.stderr.write(f"the run will not be compared with IONN and optimal: {why}\n")
        experiment = replace(experiment, simulation=replace(experiment.simulation, beside=False))
    if not machine_fit():
        return EXIT_MACHINE_UNFIT
    from testbed.emulation.sandbox import sandbox

    folder, _ = _begin(experiment, out, movement)
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
    folder, begins = _begin(experiment, out, movement)
    goes_on = nullcontext(lambda time_s: True)
    simulate_into(experiment, movement, folder, goes_on, begins=begins, figures=figures)


def movement_of(experiment: Experiment, people: People | None = None) -> Movement:
    """Return who walks where; nothing is created.

    Raises TraceError or ConfigurationError: the traces cannot be read, or do not hold what the
    settings ask for.
    """
    from testbed.movement import prepare

    movement = prepare(experiment, people)
    check_servers(experiment, {access_point.name for access_point in movement.access_points})
    return movement


def _begin(
    experiment: Experiment, out: Path | None, movement: Movement
) -> tuple[RunFolder, WarmStart | None]:
    """Make the run's folder, and find out how the run begins."""
    from testbed.simulation.warm_start import warm_start

    folder = new_folder(experiment, out)
    folder.write_schedule(movement.schedule)
    begins = warm_start(experiment, movement)
    if begins is not None:
        folder.write_warm_start(begins)
    return folder, begins


def _placed(experiment: Experiment) -> Experiment:
    """Return the experiment with the device that executes its layers, and say which that is."""
    from testbed.emulation.fitness import compute_device

    experiment, said = compute_device.resolved(experiment)
    for line in (*said, compute_device.warning(experiment)):
        if line is not None:
            sys.stderr.write(f"{line}\n")
    return experiment


def _paced(experiment: Experiment, access_points: int) -> Experiment:
    """Return the experiment at the pace that this machine can keep, and say which that is."""
    from testbed.emulation.fitness.pace import free_processors, sufficient_pace

    tdf, reason = sufficient_pace(experiment, access_points, free_processors())
    sys.stderr.write(f"tdf {tdf:g}: {reason}\n")
    return experiment.at_pace(tdf)


def walked(schedule: Schedule) -> str:
    """Return whose movement a run replays, for people."""
    from traces.campus.synthetic import SOURCE as CAMPUS

    hours, rest = divmod(round(schedule.start_s), 3600)
    text = f"traces: {schedule.source}, from {hours}:{rest // 60:02d}:{rest % 60:02d} on"
    if schedule.source == CAMPUS:
        text += " (KAIST's were not found, or not asked for; README.md says where to put them)"
    return text


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
