"""The settings of experiments as options of a command: parsed, and described in --help.

What is said about a setting (type, bounds, meaning) is read from `testbed.config`; its unit is the
end of its name.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
from msgspec import inspect

from testbed.config import Experiment, from_dict, override, parse_value, settings, to_dict
from testbed.errors import EXIT_BAD_CONFIGURATION, ConfigurationError, unknown_name
from testbed.kinds import described
from testbed.runfolder import RunFolder
from testbed.units import parse_rate, parse_size, parse_time

#: The common options: the setting that each stands for, and what its value is called in --help.
OPTIONS = {
    "--engine": ("engine", "ENGINE"),
    "--traces": ("traces.path", "PATH"),
    "--trace-format": ("traces.format", "FORMAT"),
    "--clients": ("replay.clients", "N"),
    "--start": ("replay.start", "T"),
    "--duration": ("replay.duration_s", "T"),
    "--seed": ("seed", "N"),
    "--model": ("model.name", "MODEL"),
    "--input-shape": ("model.input_shape", "NxCxHxW"),
    "--policy": ("migration.policy", "POLICY"),
    "--radius": ("migration.radius_m", "METRES"),
    "--ttl": ("migration.ttl_intervals", "INTERVALS"),
    "--fraction": ("migration.fraction_mb", "MB"),
    "--crowded": ("migration.crowded", "RUN|FILE"),
    "--topology": ("backhaul.topology", "TOPOLOGY"),
    "--fibre": ("backhaul.fibre", "RUN|FILE"),
    "--controller": ("backhaul.controller", "CONTROLLER"),
    "--compute": ("compute.mode", "MODE"),
    "--tdf": ("compute.tdf", "FACTOR"),
    "--machines": ("compute.machines", "HOST,HOST"),
}
FLAGS = {"--skip-bad": "traces.skip_bad", "--retain-uploads": "migration.retain_uploads"}

#: What the end of a setting's name says of its unit, and what reads a value that has one.
_UNITS: dict[str, tuple[str, Callable[[str], float] | None]] = {
    "bps": ("bit/s", parse_rate),
    "bytes": ("bytes", lambda text: int(parse_size(text))),
    "s": ("s", parse_time),
    "m": ("m", None),
    "mb": ("MB", None),
    "intervals": ("intervals", None),
}


class Parser(argparse.ArgumentParser):
    """An argument parser that ends the process with the documented status and one line."""

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and where help is."""
        self.exit(EXIT_BAD_CONFIGURATION, f"error: {message}; see {self.prog} --help\n")


def add_settings(
    parser: argparse.ArgumentParser,
    defaults: Experiment | None,
    out: str = "folder for the run, new or empty (default: results/NAME/RUN-ID)",
) -> None:
    """Add the options of every experiment to a parser, and the list of settings to its end.

    `defaults` are shown as such; without them the values come from a file. `out` is the help of
    --out.
    """
    fields = dict(settings())
    values = {} if defaults is None else _flat(to_dict(defaults))
    for option, (path, metavar) in OPTIONS.items():
        text = f"{_meaning(fields[path])} ({_described(path, fields[path], values)})"
        parser.add_argument(option, metavar=metavar, help=text.replace("%", "%%"))
    for option, path in FLAGS.items():
        parser.add_argument(option, action="store_const", const="true", help=_meaning(fields[path]))
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="any setting by its path, for example --set wireless.up_bps=20Mbps; lists as JSON",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)
    common = {path for path, _ in OPTIONS.values()}
    further = [
        f"  {path}\n      {_meaning(field)} ({_described(path, field, values)})"
        for path, field in fields.items()
        if path not in common
    ]
    units = "Times may have a unit (90s, 5min), rates and sizes too (20Mbps, 64kB)."
    parser.epilog = "\n".join([units, "", "further settings, for --set:", *further])


def add_cli(parser: argparse.ArgumentParser) -> None:
    """Add the option that opens Mininet's command line."""
    parser.add_argument(
        "--cli", action="store_true", help="open Mininet's command line before the clock starts"
    )


def with_options(experiment: Experiment, given: argparse.Namespace) -> Experiment:
    """Return the experiment with the settings that were given on the command line.

    Raises:
        ConfigurationError: an unknown setting, a wrong type or a value out of its bounds.
    """
    values = to_dict(experiment)
    for option, path in {**{o: path for o, (path, _) in OPTIONS.items()}, **FLAGS}.items():
        text = getattr(given, option.removeprefix("--").replace("-", "_"))
        if text is not None:
            override(values, path, option_value(option, path, text))
    for assignment in given.set:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise ConfigurationError(f"--set {assignment}: write --set path.to.setting=value")
        override(values, path, setting_value(path, text))
    return from_dict(values)


def setting_value(path: str, text: str) -> object:
    """Return what TEXT means for a setting: text itself, a quantity with its unit, or JSON.

    Raises:
        ConfigurationError: a quantity that cannot be read.
    """
    field = dict(settings()).get(path)
    types = set() if field is None else _types(field)
    if inspect.NoneType in types and text in ("none", "null"):
        return None
    if inspect.StrType in types:
        return text  # a folder may be called 2024
    if field is not None and text in _literals(field):
        return text
    value = parse_value(text)
    if isinstance(value, str) and inspect.TupleType in types:
        value = parse_value(f"[{text}]")  # 0,0,1500,2000
    read = _UNITS.get(path.rpartition("_")[2], ("", None))[1]
    if isinstance(value, str) and read is not None:
        try:
            return read(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"{path}: {error}") from error
    return value


def find_setting(name: str) -> tuple[str | None, str]:
    """Return the option and the path of a setting, by its option without dashes or by its path.

    A setting that only `--set` reaches has no option (None).

    Raises:
        ConfigurationError: no setting has this name.
    """
    options = {option: path for option, (path, _) in OPTIONS.items()} | FLAGS
    paths = {path: option for option, path in options.items()}
    if f"--{name}" in options:
        return f"--{name}", options[f"--{name}"]
    known = {path for path, _ in settings()}
    if name not in known:
        names = {option.removeprefix("--") for option in options}
        raise ConfigurationError(unknown_name("setting", name, known | names))
    return paths.get(name), name


def setting_help(path: str) -> tuple[str, str]:
    """Return a setting's default as the command line takes it, and its line of --help."""
    field, values = dict(settings())[path], _flat(to_dict(Experiment(name="experiment")))
    text = f"{_meaning(field)} ({_described(path, field, values)})"
    return shown(path, values[path]), text.replace("%", "%%")


def option_value(option: str, path: str, text: str) -> object:
    """Return what TEXT means for the setting that an option stands for.

    Raises:
        ConfigurationError: a quantity or a file that cannot be read.
    """
    if option == "--machines":
        return text.split(",")
    if option in ("--crowded", "--fibre"):
        return _servers(option, text)
    if option == "--input-shape":
        return [parse_value(part) for part in text.lower().split("x")]
    return setting_value(path, text)


def _servers(option: str, text: str) -> list[str]:
    """Return the servers in a file, separated by spaces or lines, or the crowded ones of a run."""
    if not text:
        raise ConfigurationError(f"{option}: names no run or file")
    path = Path(text)
    if path.is_dir():
        from testbed.analysis.crowding import crowded_servers

        return crowded_servers(RunFolder(path))
    try:
        names = path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise ConfigurationError(
            f"{option} {text}: cannot be read: {error.strerror}; expected the folder of a run, or a"
            " file of the servers' names"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{option} {text}: is no text; expected the folder of a run, or a file of the servers'"
            " names"
        ) from error
    if not names:
        raise ConfigurationError(f"{option} {text}: names no servers")
    return names


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def _described(path: str, field: inspect.Field, values: dict[str, Any]) -> str:
    """Return for example "number above 0, m; default: 50"."""
    kind = described(field.type)
    unit = _UNITS.get(path.rpartition("_")[2], ("", None))[0]
    words = f"{kind}, {unit}" if unit else kind
    return f"{words}; default: {shown(path, values[path])}" if path in values else words


def _types(field: inspect.Field) -> set[type[inspect.Type]]:
    return {type(each) for each in _alternatives(field)}


def _literals(field: inspect.Field) -> set[object]:
    """Return the words that a setting takes, such as "busiest"."""
    words = (each.values for each in _alternatives(field) if isinstance(each, inspect.LiteralType))
    return {word for values in words for word in values}


def _alternatives(field: inspect.Field) -> Sequence[inspect.Type]:
    kind = field.type.type if isinstance(field.type, inspect.Metadata) else field.type
    return kind.types if isinstance(kind, inspect.UnionType) else [kind]


def _meaning(field: inspect.Field) -> str:
    extra = getattr(field.type, "extra_json_schema", None) or {}
    return str(extra.get("description", "name of the experiment"))


def shown(path: str, value: object) -> str:
    """Return a value the way that the command line takes it, no two values alike."""
    if path == "model.input_shape":
        return "x".join(str(each) for each in msgspec.to_builtins(value))
    if value is None:
        return "none"
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
