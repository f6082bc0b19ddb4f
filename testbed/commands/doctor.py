"""`testbed doctor`: what the machine offers for an emulation."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from testbed.commands.output import StdoutConsole, add_json, print_json
from testbed.errors import EXIT_COMPLETE, EXIT_MACHINE_UNFIT

HELP = "look at what an emulation needs; exit 3 when something is missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Print the findings; return 3 if an emulation cannot run here."""
    from testbed.emulation import doctor

    findings = doctor.examine()
    if given.json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        doctor.print_findings(findings, StdoutConsole())
    return EXIT_MACHINE_UNFIT if doctor.unfit(findings) else EXIT_COMPLETE
