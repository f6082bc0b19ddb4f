"""JSON for programs, on stdout; `testbed.terminal` prints tables for people."""

from __future__ import annotations

import argparse
import json
import sys


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def to_json(content: object) -> str:
    """Return JSON with a line's end; ValueError for a number that JSON has not (NaN, infinity)."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def print_json(content: object) -> None:
    """Print JSON; ValueError for a number that JSON has not."""
    sys.stdout.write(to_json(content))
