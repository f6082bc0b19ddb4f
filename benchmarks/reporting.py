"""What the benchmarks share: options, the choice inside a sandbox, and how figures are printed."""

from __future__ import annotations

import argparse
import json
from typing import Any


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of options that knows `--json`."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--json", action="store_true", help="print figures as JSON")
    return made


def printed_as_json(given: argparse.Namespace, figures: Any) -> bool:
    """Print figures as JSON if that is asked for; return whether it is."""
    if given.json:
        print(json.dumps(figures, indent=2))
    return bool(given.json)
