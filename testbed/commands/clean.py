"""`testbed clean`: removes what killed runs left."""

from __future__ import annotations

import argparse

from testbed.errors import EXIT_COMPLETE
from testbed.output import add_json, print_json
from testbed.terminal import print_table

HELP = "remove what a killed run left, and nothing else (needs root)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Clean up, and print what was ended and removed."""
    from testbed.emulation.sandbox.cleanup import clean

    cleaned = clean()
    content = {
        "sandboxes": list(cleaned.sandboxes),
        "folders": [str(path) for path in cleaned.folders],
        "kept": [str(path) for path in cleaned.kept],
    }
    if given.json:
        print_json(content)
        return EXIT_COMPLETE
    rows = [("ended", f"sandbox of process {pid}") for pid in cleaned.sandboxes]
    rows += [("removed", str(path)) for path in cleaned.folders]
    rows += [("kept", f"{path}: something lies in it") for path in cleaned.kept]
    print_table(("", "what"), rows or [("nothing", "no killed run has left anything")])
    return EXIT_COMPLETE
