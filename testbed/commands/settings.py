"""The options of commands that look at traces as a run does."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from testbed.config import Experiment, from_dict, override, to_dict
from testbed.options import setting_help, setting_value


def add_settings(parser: argparse.ArgumentParser, options: Mapping[str, str]) -> None:
    """Add options that stand for settings, {option: path}, for `settings_of` to read."""
    for option, path in options.items():
        default, text = setting_help(path)
        parser.add_argument(option, default=default, metavar="VALUE", help=text)
    parser.set_defaults(settings=dict(options))


def settings_of(given: argparse.Namespace, folder: str | None) -> Experiment:
    """Return default settings, changed by what the options of `add_settings` say."""
    values = to_dict(Experiment(name="traces"))
    override(values, "traces.path", folder)
    for option, path in given.settings.items():
        text = getattr(given, option.removeprefix("--").replace("-", "_"))
        override(values, path, setting_value(path, text))
    return from_dict(values)
