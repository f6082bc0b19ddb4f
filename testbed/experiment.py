"""The command line of an experiment: settings checked whole, then the machine, then the run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from rich.console import Console

from testbed.config import Experiment, from_dict, override, parse_value, settings, to_dict
from testbed.errors import EXIT_BAD_CONFIGURATION, ConfigurationError, TestbedError, unknown_name
from testbed.runfolder import RunFolder

_REPOSITORY = Path(__file__).resolve().parents[1]

#: The common options and the settings that they stand for (interfaces of all experiments).
OPTIONS = {
    "--engine": "engine",
    "--traces": "traces.path",
    "--trace-format": "traces.format",
    "--clients": "replay.clients",
    "--start": "replay.start",
    "--duration": "replay.duration_s",
    "--seed": "seed",
    "--model": "model.name",
    "--input-shape": "model.input_shape",
    "--policy": "migration.policy",
    "--radius": "migration.radius_m",
    "--ttl": "migration.ttl_intervals",
    "--fraction": "migration.fraction_mb",
    "--crowded": "migration.crowded",
    "--topology": "backhaul.topology",
    "--controller": "backhaul.controller",
    "--compute": "compute.mode",
    "--tdf": "compute.tdf",
}
_FLAGS = {"--retain-uploads": "migration.retain_uploads"}


def main(experiment: Experiment, arguments: list[str] | None = None) -> NoReturn:
    """Run an experiment from the command line; ends the process with the documented status."""
    try:
        sys.exit(_run(experiment, arguments))
    except TestbedError as error:
        Console(stderr=True).print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        sys.exit(error.exit_status)


def parse(experiment: Experiment, arguments: list[str] | None) -> tuple[Experiment, Path | None]:
    """Return the experiment with the command line's settings, and the folder for the run.

    Raises:
        ConfigurationError: an unknown setting, a wrong type or a value out of its bounds.
    """
    given = vars(_parser(experiment).parse_args(arguments))
    values = to_dict(experiment)
    for option, path in {**OPTIONS, **_FLAGS}.items():
        text = given[_destination(option)]
        if text is not None:
            override(values, path, _value_of(option, text))
    for assignment in given["set"]:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise ConfigurationError(f"--set {assignment}: write --set path.to.setting=value")
        override(values, path, parse_value(text))
    return from_dict(values), given["out"]


def check(experiment: Experiment) -> None:
    """Check every name in the settings, before anything is created.

    Raises:
        ConfigurationError: something named does not exist or cannot be used.
    """
    from controllers.library import find_controller
    from testbed.dnn.devices import device_profile
    from testbed.emulation.network import build_topo
    from testbed.mobility.predictors import find_predictor
    from testbed.policies import find_policy
    from topologies.library import find_topology

    find_policy(experiment.migration.policy)
    find_predictor(experiment.migration.predictor)
    find_controller(experiment.backhaul.controller)
    device_profile(experiment.model.client_device)
    device_profile(experiment.model.server_device)
    build_topo(find_topology(experiment.backhaul.topology), ["ap1", "ap2"])
    _check_model(experiment)


def _run(experiment: Experiment, arguments: list[str] | None) -> int:
    chosen, out = parse(experiment, arguments)
    check(chosen)
    from testbed.movement import prepare

    movement = prepare(chosen)
    from testbed.emulation import doctor, sandbox

    findings = doctor.examine()
    if doctor.unfit(findings):
        doctor.print_findings(findings, Console(stderr=True))
        return 3
    folder = (
        RunFolder.create(_REPOSITORY / "results", chosen.name, chosen.seed)
        if out is None
        else RunFolder.at(out)
    )
    folder.write_json("config", to_dict(chosen))
    folder.write_schedule(movement.schedule)
    sandbox.execute("testbed.emulation", [str(folder.path.resolve())])


def _parser(experiment: Experiment) -> argparse.ArgumentParser:
    main_module = sys.modules["__main__"]
    parser = _Parser(
        description=main_module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_all_settings(experiment),
        allow_abbrev=False,
    )
    fields = dict(settings())
    values = _flat(to_dict(experiment))
    for option, path in OPTIONS.items():
        text = f"{_meaning(fields[path])} (default: {_shown(values[path])})"
        parser.add_argument(option, metavar=_metavar(fields[path]), help=text.replace("%", "%%"))
    for option, path in _FLAGS.items():
        parser.add_argument(option, action="store_const", const="true", help=_meaning(fields[path]))
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="any setting by its path, for example --set wireless.up_bps=20e6 (list below)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for the run, new or empty (default: results/NAME/RUN-ID)",
    )
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_CONFIGURATION, f"error: {message}; see --help\n")


def _all_settings(experiment: Experiment) -> str:
    values = _flat(to_dict(experiment))
    lines = [
        f"  {path} = {_shown(values[path])}\n      {_meaning(field)}"
        for path, field in settings()
        if path not in OPTIONS.values()
    ]
    return "further settings for --set, with their values:\n" + "\n".join(lines)


def _value_of(option: str, text: str) -> object:
    if option == "--crowded":
        return _crowded(text)
    if option == "--input-shape":
        return [parse_value(part) for part in text.lower().split("x")]
    return parse_value(text)


def _crowded(text: str) -> list[str]:
    """Return the servers in a file, one a line, or the crowded ones of an earlier run."""
    path = Path(text)
    if path.is_dir():
        from testbed.analysis.backhaul import crowded_servers

        return crowded_servers(RunFolder(path))
    try:
        return path.read_text().split()
    except OSError as error:
        raise ConfigurationError(f"--crowded {text}: {error.strerror}") from error


def _check_model(experiment: Experiment) -> None:
    from testbed.dnn.published import MODELS

    name = experiment.model.name
    if name in MODELS:
        return
    if ":" not in name:
        raise ConfigurationError(
            unknown_name("model", name, MODELS) + ", or package.module:factory"
        )
    from testbed.dnn.capture import capture
    from testbed.dnn.models import build_model

    module, examples = build_model(name, None, experiment.model.input_shape)
    capture(module, examples, name)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def _destination(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _meaning(field: msgspec.inspect.Field) -> str:
    extra = getattr(field.type, "extra_json_schema", None) or {}
    return str(extra.get("description", ""))


def _metavar(field: msgspec.inspect.Field) -> str:
    kind = field.type.type if isinstance(field.type, msgspec.inspect.Metadata) else field.type
    if isinstance(kind, msgspec.inspect.LiteralType):
        return "{" + ",".join(str(value) for value in kind.values) + "}"
    return type(kind).__name__.removesuffix("Type").upper()


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
