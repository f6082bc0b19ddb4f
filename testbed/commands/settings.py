"""The options of commands that look at traces as a run does."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from testbed.config import Experiment, from_dict, override, to_dict
from testbed.options import FLAGS, setting_help, setting_value

#: Which traces a command looks at, and how they are read: options of every such command.
TRACES = {"--trace-format": "traces.format", "--skip-bad": "traces.skip_bad"}


def add_settings(parser: argparse.ArgumentParser, options: Mapping[str, str]) -> None:
    """Add options that stand for settings, {option: path}, for `settings_of` to read.

    Those that an experiment takes without a value (`FLAGS`) have none here either.
    """
    for option, path in options.items():
        default, text = setting_help(path)
        if option in FLAGS:
            parser.add_argument(
                option, action="store_const", const="true", default=default, help=text
            )
        else:
            parser.add_argument(option, default=default, metavar="VALUE", help=text)
    parser.set_defaults(settings=dict(options))


def settings_of(given: argparse.Namespace, path: str | None) -> Experiment:
    """Return default settings, changed by what the options of `add_settings` say.

    `path` is that of the traces, None where the command names none.
    """
    values = to_dict(Experiment(name="traces"))
    override(values, "traces.path", path)
    for option, setting in given.settings.items():
        text = getattr(given, option.removeprefix("--").replace("-", "_"))
        override(values, setting, setting_value(setting, text))
    return from_dict(values)
