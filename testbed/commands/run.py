"""`testbed run CONFIG`: runs what a config.json describes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from testbed.errors import ConfigurationError
from testbed.output import add_json
from testbed.settings.experiment import Experiment, from_dict
from testbed.settings.options import Parser, add_cli, add_settings, with_options

HELP = "run an experiment from a config.json, of an earlier run or written by hand"


def add_arguments(parser: Parser) -> None:
    """Add the command's arguments: the file, and every option of an experiment."""
    parser.add_argument(
        "config", type=Path, metavar="CONFIG", help="config.json, or the folder of a run"
    )
    add_settings(parser, None)
    add_cli(parser)
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Run the experiment; its checks and exit status are those of any experiment."""
    from testbed import launch

    settings = with_options(read(given.config), given)
    return launch.run(settings, given.out, cli=given.cli, as_json=given.json)


def read(path: Path) -> Experiment:
    """Return the experiment of a config.json, or of a run's folder.

    Settings that the file lacks have their defaults; a file without a name lends its own.

    Raises ConfigurationError: the file cannot be read, is no JSON object, or says what cannot be.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        values: dict[str, Any] = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise ConfigurationError(f"{file}: cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigurationError(f"{file}: is no JSON object: {error}") from error
    try:
        return from_dict({"name": file.stem, **values})
    except ConfigurationError as error:
        raise ConfigurationError(f"{file}: {error}") from error
