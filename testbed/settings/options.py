"""The settings of experiments as options of a command: parsed, and described in --help.

What is said about a setting (type, bounds, meaning) is read from its section; its unit is the end
of its name. Every experiment, and every command that looks at traces, has its options from here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from testbed.errors import EXIT_BAD_CONFIGURATION, ConfigurationError, unknown_name
from testbed.settings.experiment import Experiment, changed, parse_value, renamed, settings, to_dict
from testbed.settings.section import Section
from testbed.settings.text import described_setting, meaning, setting_value

#: The options: the setting that each stands for, and what its value is called in --help.
OPTIONS = {
    "--engine": ("engine", "ENGINE"),
    "--traces": ("traces.path", "PATH"),
    "--trace-format": ("traces.format", "FORMAT"),
    "--window": ("traces.window_m", "X,Y,X,Y"),
    "--window-deg": ("traces.window_deg", "LAT,LON,LAT,LON"),
    "--gap": ("traces.gap_s", "T"),
    "--min-duration": ("traces.min_duration_s", "T"),
    "--interval": ("traces.interval_s", "T"),
    "--between-samples": ("traces.between_samples", "HOW"),
    "--backwards": ("traces.backwards", "WHAT"),
    "--duplicates": ("traces.duplicates", "WHAT"),
    "--test-people": ("traces.test_people", "N"),
    "--test-segments": ("traces.test_segments", "N"),
    "--cell-circumradius": ("traces.cell_circumradius_m", "METRES"),
    "--clients": ("replay.clients", "N"),
    "--start": ("replay.start", "T"),
    "--duration": ("replay.duration_s", "T"),
    "--seed": ("seed", "N"),
    "--model": ("model.name", "MODEL"),
    "--input-shape": ("model.input_shape", "NxCxHxW"),
    "--policy": ("migration.policy", "POLICY"),
    "--predictor": ("migration.predictor", "PREDICTOR"),
    "--trajectory-length": ("migration.trajectory_length", "N"),
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

#: What says which traces a command looks at, and how they are read.
TRACES = (
    *("--trace-format", "--skip-bad", "--window", "--window-deg", "--gap", "--min-duration"),
    *("--interval", "--between-samples", "--backwards", "--duplicates", "--test-people"),
    *("--cell-circumradius", "--seed"),
)

_EPILOG = "Times may have a unit (90s, 5min), rates and sizes too (20Mbps, 64kB)."


class Parser(argparse.ArgumentParser):
    """An argument parser that ends the process with the documented status and one line."""

    def __init__(self, **more: Any) -> None:
        more = {"formatter_class": argparse.RawDescriptionHelpFormatter} | more
        super().__init__(allow_abbrev=False, **more)
        #: Yields what stands at the end of --help, and is only made for it.
        self.further: Callable[[], Iterator[str]] = lambda: iter(())
        self._arguments: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse, and remember the command line for `named`."""
        self._arguments = sys.argv[1:] if args is None else args
        return super().parse_known_args(args, namespace)

    def named(self, option: str) -> str | None:
        """Return what the command line names for an option, before it has been parsed."""
        words = [part for word in self._arguments for part in word.split("=", 1)]
        places = [place for place, word in enumerate(words[:-1]) if word == option]
        return words[places[-1] + 1] if places else None

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and where help is."""
        self.exit(EXIT_BAD_CONFIGURATION, f"error: {message}; see {self.prog} --help\n")

    def format_help(self) -> str:
        """Return the help, with `further`."""
        return "\n".join([super().format_help(), *self.further()])


def add_settings(
    parser: Parser,
    defaults: Experiment | None,
    out: str = "folder for the run, new or empty (default: results/NAME/RUN-ID)",
    reads: Sequence[str] = ("",),
) -> None:
    """Add the options of every experiment to a parser, and the list of settings to its end.

    Args:
        parser: of the command.
        defaults: are shown as such; None: the values come from a file.
        out: the help of --out.
        reads: the beginnings of the paths of those settings that are shown.
    """
    begins = tuple(reads)
    add_options(parser, defaults, [o for o, path in _paths().items() if path.startswith(begins)])
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)
    values = {} if defaults is None else _flat(to_dict(defaults))
    common = {path for path, _ in OPTIONS.values()}

    def further() -> Iterator[str]:
        yield _EPILOG
        if others := [s for s in settings() if s[0] not in common and s[0].startswith(begins)]:
            yield "\nfurther settings, for --set:"
        for path, field in others:
            yield f"  {path}\n      {meaning(field)} ({described_setting(path, field, values)})"
        for kind, name, section in _own_sections(parser):
            if not f"{kind}.".startswith(begins):
                continue
            yield f"\nsettings of {kind} {name}, for --set:"
            defaults_of = {f"{kind}.{k}": v for k, v in msgspec.to_builtins(section()).items()}
            for path, field in settings(section, f"{kind}."):
                text = described_setting(path, field, defaults_of)
                yield f"  {path}\n      {meaning(field)} ({text})"
        yield ""

    parser.further = further


def _own_sections(parser: Parser) -> Iterator[tuple[str, str, type[Section]]]:
    """Yield kind, name and own settings of the policies and predictors that have some.

    A class of a user's own is among them where the command line names it.
    """
    from testbed.decision.policies import POLICIES, find_policy
    from testbed.mobility.predictors import OWN_SETTINGS, find_predictor

    policies = {name: policy.Settings for name, policy in POLICIES.items()}
    predictors = dict(OWN_SETTINGS)
    if ":" in (name := parser.named("--policy") or ""):
        policies[name] = find_policy(name).Settings
    if ":" in (name := parser.named("--predictor") or ""):
        predictors[name] = find_predictor(name).Settings
    for kind, sections in (("policy", policies), ("predictor", predictors)):
        for name, section in sections.items():
            if section.__struct_fields__:
                yield kind, name, section


def add_options(
    parser: argparse.ArgumentParser, defaults: Experiment | None, options: Collection[str]
) -> None:
    """Add some of the options, and --set; what is given stands under the setting's path."""
    fields = dict(settings())
    values = {} if defaults is None else _flat(to_dict(defaults))
    for option, (path, metavar) in OPTIONS.items():
        if option in options:
            text = f"{meaning(fields[path])} ({described_setting(path, fields[path], values)})"
            parser.add_argument(option, dest=path, metavar=metavar, help=text.replace("%", "%%"))
    for option, path in FLAGS.items():
        if option in options:
            parser.add_argument(
                option, dest=path, action="store_const", const="true", help=meaning(fields[path])
            )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="any setting by its path, for example --set wireless.up_bps=20Mbps; lists as JSON",
    )


def add_cli(parser: argparse.ArgumentParser) -> None:
    """Add the option that opens Mininet's command line."""
    parser.add_argument(
        "--cli", action="store_true", help="open Mininet's command line before the clock starts"
    )


def with_options(
    experiment: Experiment, given: argparse.Namespace, **instead: object
) -> Experiment:
    """Return the experiment with the settings that were given on the command line.

    Values of `instead`, by path, count whatever was given. Raises ConfigurationError for an
    unknown setting, a wrong type or a value out of its bounds.
    """
    try:
        return changed(experiment, given_settings(given) | instead)
    except ConfigurationError as error:
        for option, path in _paths().items():
            if str(error).startswith(f"{path}: ") and getattr(given, path, None) is not None:
                raise ConfigurationError(f"{option}: {error}") from error
        raise


def given_settings(given: argparse.Namespace) -> dict[str, object]:
    """Return what was given on the command line, value by path; the last one of a path counts.

    Raises ConfigurationError for a value that cannot be read.
    """
    return {path: option_value(option, path, text) for option, path, text in _given(given)}


def check_read(given: argparse.Namespace, reads: Sequence[str], name: str) -> list[str]:
    """Return the paths given, of which an experiment reads those that begin with `reads`.

    Raises ConfigurationError for one that it decides itself or does not need.
    """
    paths = [path for _, path, _ in _given(given)]
    for path in paths:
        if not renamed(path).startswith(tuple(reads)):
            raise ConfigurationError(
                f"{path}: {name} decides it, or does not depend on it; see --help for what it does"
            )
    return paths


def _given(given: argparse.Namespace) -> Iterator[tuple[str, str, str]]:
    """Yield option, path and text of what the command line gives; options first, then --set."""
    for option, path in _paths().items():
        if (text := getattr(given, path, None)) is not None:
            yield option, path, text
    for assignment in given.set:
        path, separator, text = assignment.partition("=")
        if not separator:
            raise ConfigurationError(f"--set {assignment}: write --set path.to.setting=value")
        yield "--set", path, text


def find_setting(name: str) -> tuple[str | None, str]:
    """Return the option and the path of a setting, by its option without dashes or by its path.

    A setting that only `--set` reaches has no option (None).

    Raises ConfigurationError: no setting has this name.
    """
    options = _paths()
    paths = {path: option for option, path in options.items()}
    if f"--{name}" in options:
        return f"--{name}", options[f"--{name}"]
    name = renamed(name)
    known = {path for path, _ in settings()}
    if name not in known and not name.startswith(("policy.", "predictor.")):
        names = {option.removeprefix("--") for option in options}
        raise ConfigurationError(unknown_name("setting", name, known | names))
    return paths.get(name), name


def option_value(option: str, path: str, text: str) -> object:
    """Return what TEXT means for the setting that an option stands for.

    Raises ConfigurationError: a quantity or a file that cannot be read.
    """
    if option == "--machines":
        return text.split(",")
    if option in ("--crowded", "--fibre"):
        from testbed.analysis.traffic.crowding import servers_named

        return servers_named(option, text)
    if option == "--input-shape":
        return [parse_value(part) for part in text.lower().split("x")]
    return setting_value(path, text)


def _paths() -> dict[str, str]:
    """Return the path of the setting that each option stands for."""
    return {option: path for option, (path, _) in OPTIONS.items()} | FLAGS


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
