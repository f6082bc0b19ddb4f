"""The command line of an experiment: settings checked whole, then the machine, then the run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec.structs import replace
from rich.console import Console

from testbed.config import Experiment, Model, to_dict
from testbed.errors import EXIT_MACHINE_UNFIT, ConfigurationError, unknown_name
from testbed.exits import exit_with
from testbed.options import Parser, add_cli, add_settings, with_options
from testbed.runfolder import RunFolder

if TYPE_CHECKING:
    from testbed.movement import Movement, People
    from testbed.simulation.engine import Links

#: Where folders go that nobody names.
RESULTS = Path(__file__).resolve().parents[1] / "results"

_LEAST_BPS, _MOST_BPS = 8e3, 1e12


def main(experiment: Experiment, arguments: list[str] | None = None) -> NoReturn:
    """Run an experiment from the command line; ends the process with the documented status."""

    def parse_and_run() -> int:
        given = parser(experiment).parse_args(arguments)
        return run(with_options(experiment, given), given.out, cli=given.cli)

    exit_with(parse_and_run)


def parser(experiment: Experiment) -> Parser:
    """Return the parser of an experiment's command line, with every setting."""
    made = Parser(
        description=sys.modules["__main__"].__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add_settings(made, experiment)
    add_cli(made)
    return made


def run(experiment: Experiment, out: Path | None, *, cli: bool = False) -> int:
    """Check the settings, then the machine, and then run the experiment.

    Where everything is as it should be, the process becomes the run's launcher and does not return.

    Args:
        experiment: with all its settings.
        out: folder for the run, or None for one of its own under `results/`.
        cli: whether Mininet's command line opens when the network is up.

    Raises:
        ConfigurationError: something in the settings cannot be used; nothing has been created.
    """
    if cli and experiment.engine == "simulate":
        raise ConfigurationError("--cli: only an emulation has a network to look at")
    if experiment.compute.machines and experiment.engine == "simulate":
        raise ConfigurationError("compute.machines: only an emulation is spread over machines")
    check(experiment, out)
    movement = _movement(experiment)
    if experiment.engine == "simulate":
        from testbed.simulation.engine import execute

        folder = _begin(experiment, out, movement)
        links = _links(experiment, movement)
        return execute(experiment, movement, folder, links, Console(stderr=True))
    _check_rates(experiment)
    if not machine_fit():
        return EXIT_MACHINE_UNFIT
    from testbed.emulation import sandbox

    folder = _begin(experiment, out, movement)
    sandbox.execute("testbed.emulation", [str(folder.path.resolve()), *(["--cli"] if cli else [])])


def simulate(experiment: Experiment, out: Path, people: People, *, figures: bool) -> None:
    """Simulate an experiment that has been checked, without a word and without signal handlers.

    Args:
        experiment: with all its settings.
        out: folder for the run.
        people: those of its traces, as `testbed.movement.load_people` returns them.
        figures: whether figures and report are made, which takes seconds.

    Raises:
        ConfigurationError: the traces do not hold what the settings ask for, or the folder cannot
            be made.
    """
    from testbed.simulation.engine import simulate as simulate_into

    movement = _movement(experiment, people)
    folder = _begin(experiment, out, movement)
    goes_on = nullcontext(lambda time_s: True)
    simulate_into(
        experiment, movement, folder, _links(experiment, movement), goes_on, figures=figures
    )


def _movement(experiment: Experiment, people: People | None = None) -> Movement:
    from testbed.movement import prepare

    movement = prepare(experiment, people)
    _check_servers(experiment, {access_point.name for access_point in movement.access_points})
    return movement


def _begin(experiment: Experiment, out: Path | None, movement: Movement) -> RunFolder:
    folder = new_folder(experiment, out)
    folder.write_schedule(movement.schedule)
    return folder


def _links(experiment: Experiment, movement: Movement) -> Links:
    from controllers.paths import Paths
    from testbed.emulation.network import build_topo
    from topologies.library import find_topology

    names = [access_point.name for access_point in movement.schedule.access_points]

    def links() -> tuple[Paths, list[float]]:
        topo = build_topo(find_topology(experiment.backhaul.topology), names)
        backhaul = experiment.backhaul
        paths = Paths(topo, names, backhaul.link_bps, backhaul.wireless_links(names))
        return paths, paths.rates_bps

    return links


def machine_fit() -> bool:
    """Have the doctor look at the machine; say what it found where that rules out a run."""
    from testbed.emulation import doctor

    findings = doctor.examine()
    unfit = doctor.unfit(findings)
    if unfit:
        doctor.print_findings(findings, Console(stderr=True))
    return not unfit


def new_folder(experiment: Experiment, out: Path | None) -> RunFolder:
    """Make the folder of a run, of its own under `results/` where none is named."""
    folder = (
        RunFolder.create(RESULTS, experiment.name, experiment.seed)
        if out is None
        else RunFolder.at(out)
    )
    folder.write_json("config", to_dict(experiment))
    return folder


def check(experiment: Experiment, out: Path | None = None) -> None:
    """Check every name in the settings and the run's folder, before anything is created.

    Raises:
        ConfigurationError: something named does not exist or cannot be used.
    """
    from controllers.library import find_controller
    from testbed.dnn.devices import device_profile
    from testbed.emulation.machines import parse_all
    from testbed.emulation.network import build_topo
    from testbed.policies import build_predictor, find_policy
    from topologies.library import find_topology
    from traces.loading import check_exists

    _check_engine(experiment)
    if experiment.simulation.beside:
        try:
            _check_engine(replace(experiment, engine="simulate"))
        except ConfigurationError as error:
            raise ConfigurationError(
                f"simulation.beside: the same cannot be simulated: {error}"
            ) from error
    if experiment.traces.path is not None:
        check_exists(Path(experiment.traces.path))
    find_policy(experiment.migration.policy)
    build_predictor(experiment.migration)
    find_controller(experiment.backhaul.controller)
    parse_all(experiment.compute.machines)
    device_profile(experiment.model.client_device)
    device_profile(experiment.model.server_device)
    topo = build_topo(find_topology(experiment.backhaul.topology), ["ap1", "ap2"])
    simulated = experiment.engine == "simulate" or experiment.simulation.beside
    if simulated and experiment.backhaul.delay_s is None:
        _check_undelayed(details for *_, details in topo.links(withInfo=True))
    if out is not None and out.exists():
        RunFolder.at(out)
    _check_model(experiment.model)


def _check_engine(experiment: Experiment) -> None:
    controller = experiment.backhaul.controller
    if experiment.engine == "emulate" and experiment.replay.duration_s == "all":
        raise ConfigurationError(
            "replay.duration_s: an emulation needs a window; give its length, such as 300 or 5min"
        )
    if experiment.engine == "simulate" and experiment.wireless.association != "nearest":
        raise ConfigurationError(
            "wireless.association: where servers are chosen by their load, only an emulation can"
        )
    if experiment.backhaul.fibre and experiment.backhaul.wireless_bps is None:
        raise ConfigurationError(
            "backhaul.fibre: only a hybrid backhaul has fibre at some of its access points; give"
            " backhaul.wireless_bps, the rate of the others, such as 100Mbps"
        )
    if experiment.engine == "simulate" and experiment.backhaul.migration_class != "same":
        raise ConfigurationError(
            "backhaul.migration_class: the simulator's links have one class; emulate, or leave it"
        )
    if experiment.engine == "simulate" and experiment.wireless.airtime != "separate":
        raise ConfigurationError(
            "wireless.airtime: the simulator gives each client its own rates; emulate, or leave it"
        )
    delayed = [name for name in ("wireless", "backhaul") if getattr(experiment, name).delay_s]
    if experiment.engine == "simulate" and delayed:
        raise ConfigurationError(
            f"{delayed[0]}.delay_s: the simulator's links have no propagation delay; emulate, or"
            " leave it"
        )
    limited = experiment.simulation.backhaul == "limited"
    if experiment.engine == "simulate" and limited and controller != "shortest_path":
        raise ConfigurationError(
            "backhaul.controller: the simulator knows the paths of shortest_path alone; set"
            " simulation.backhaul=unlimited, or emulate"
        )


def _check_rates(experiment: Experiment) -> None:
    """What is shaped has whole bits a second, and the kernel counts them in 64 bits."""
    wireless, tdf = experiment.wireless, experiment.compute.tdf
    rates_bps = {
        "wireless.up_bps": wireless.up_bps,
        "wireless.down_bps": wireless.down_bps,
        "backhaul.link_bps": experiment.backhaul.link_bps,
        "backhaul.wireless_bps": experiment.backhaul.wireless_bps,
    }
    for name, rate_bps in rates_bps.items():
        if rate_bps is not None and not _LEAST_BPS <= rate_bps / tdf <= _MOST_BPS:
            raise ConfigurationError(
                f"{name}: {rate_bps:g} bit/s, at compute.tdf {tdf:g}, cannot be shaped; from"
                f" {_LEAST_BPS:g} to {_MOST_BPS:g} bit/s of wall time can"
            )


def _check_undelayed(links: Iterable[Mapping[str, Any]]) -> None:
    from testbed.emulation.delay import topology_delay_s

    if any(topology_delay_s(details) for details in links):
        raise ConfigurationError(
            "backhaul.topology: it has links with a delay, which the simulator does not know;"
            " emulate, or set backhaul.delay_s=0"
        )


@cache  # the configurations of a sweep share few models, and capturing one takes seconds
def _check_model(model: Model) -> None:
    from testbed.dnn.published import MODELS

    name = model.name
    if any(size < 1 for size in model.input_shape):
        raise ConfigurationError(
            f"model.input_shape: {model.input_shape} must have sizes of at least 1"
        )
    if name in MODELS:
        return
    if ":" not in name:
        raise ConfigurationError(
            unknown_name("model", name, MODELS) + ", or package.module:factory"
        )
    from testbed.dnn.capture import capture
    from testbed.dnn.models import build_model

    module, examples = build_model(name, 0, model.input_shape)  # weights: verified
    capture(module, examples, name)


def _check_servers(experiment: Experiment, known: set[str]) -> None:
    for setting, names in (
        ("migration.crowded", experiment.migration.crowded),
        ("backhaul.fibre", experiment.backhaul.fibre),
    ):
        for name in names:
            if name not in known:
                raise ConfigurationError(
                    f"{setting}: there is no server {name!r} among the {len(known)} of these"
                    " traces; take a run of the same traces and cells"
                )
