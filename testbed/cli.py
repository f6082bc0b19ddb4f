"""The `testbed` command."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from testbed import __version__
from testbed.commands import (
    analyze,
    clean,
    compare,
    doctor,
    plan,
    predict,
    profile,
    report,
    run,
    sweep,
    topo,
    traces,
)
from testbed.exits import exit_with
from testbed.settings.options import Parser

COMMANDS = {
    "doctor": doctor,
    "clean": clean,
    "run": run,
    "sweep": sweep,
    "plan": plan,
    "profile": profile,
    "predict": predict,
    "analyze": analyze,
    "report": report,
    "compare": compare,
    "traces": traces,
    "topo": topo,
}
_DESCRIPTION = """Emulate edge servers that run DNN layers for walking clients.

Exit status: 0 done, 1 failed, 2 bad usage or configuration, 3 the machine lacks something,
130 interrupted, 141 nobody reads what is printed.
"""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Do what the command line says; ends the process with the documented status."""
    given = parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    exit_with(lambda: COMMANDS[given.command].run(given))


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    whole = Parser(prog="testbed", description=_DESCRIPTION)
    whole.add_argument("--version", action="version", version=f"testbed {__version__}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.HELP, description=command.HELP)
        command.add_arguments(one)
    return whole


if __name__ == "__main__":
    main()
