"""An experiment that only computes: nobody walks, and nothing is split."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

from testbed.errors import EXIT_COMPLETE
from testbed.exits import exit_with
from testbed.launch import new_folder
from testbed.output import add_json
from testbed.runs.folder import RunFolder
from testbed.settings.experiment import Experiment
from testbed.settings.options import Parser, add_settings, check_read, with_options
from testbed.studies.findings import Findings


@dataclass(eq=False)
class Calculation:
    """What is asked for: the command line, and the settings that it gives."""

    given: argparse.Namespace
    settings: Experiment

    @cached_property
    def folder(self) -> RunFolder:
        """The folder for what comes out; it is made when it is first needed."""
        return new_folder(self.settings, self.given.out)


def main(
    name: str,
    calculate: Callable[[Calculation], Findings],
    *,
    reads: Sequence[str] = (),
    options: Callable[[Parser], None] = lambda parser: None,
) -> NoReturn:
    """Compute, keep and print; ends the process with the documented status.

    `reads` are the beginnings of the paths of settings that the experiment depends on, others are
    refused; `options` adds what it alone has.
    """
    experiment = Experiment(name=name)

    def run() -> int:
        parser = Parser(description=sys.modules["__main__"].__doc__)
        add_settings(parser, experiment, f"new folder (default: results/{name}/RUN-ID)", reads)
        options(parser)
        add_json(parser)
        given = parser.parse_args()
        check_read(given, reads, name)
        calculation = Calculation(given, with_options(experiment, given))
        calculate(calculation).deliver(calculation.folder, as_json=given.json)
        return EXIT_COMPLETE

    exit_with(run)
