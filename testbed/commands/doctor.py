"""`testbed doctor`: what the machine offers for an emulation."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from testbed.errors import EXIT_COMPLETE, EXIT_MACHINE_UNFIT
from testbed.output import add_json, print_json
from testbed.terminal import StdoutConsole

HELP = "look at what an emulation needs; exit 3 when something is missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Print the findings; return 3 if an emulation cannot run here."""
    from testbed.emulation.fitness import examination

    findings = examination.examine()
    if given.json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        examination.print_findings(findings, StdoutConsole())
    return EXIT_MACHINE_UNFIT if examination.unfit(findings) else EXIT_COMPLETE
