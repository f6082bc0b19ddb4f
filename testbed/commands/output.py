"""How commands print: JSON for programs, tables for people; both on stdout."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_UNFOLDED = 1000  # columns: of a file or a pipe, whose lines have no end to fold at


class StdoutConsole(Console):
    """Prints on stdout, as wide as the terminal.

    What is no terminal gets lines that are not folded, unless the environment says COLUMNS.
    """

    def __init__(self) -> None:
        folded = sys.stdout.isatty() or "COLUMNS" in os.environ
        super().__init__(width=None if folded else _UNFOLDED)

    def on_broken_pipe(self) -> None:
        """Leave to `exit_with` how a command ends."""
        raise BrokenPipeError


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the option --json."""
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def to_json(content: object) -> str:
    """Return JSON with a line's end; ValueError for a number that JSON has not (NaN, infinity)."""
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def print_json(content: object) -> None:
    """Print JSON; ValueError for a number that JSON has not."""
    sys.stdout.write(to_json(content))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None
) -> None:
    """Print a table as wide as the terminal admits; columns of numbers stand on the right."""
    table = Table(box=None, pad_edge=False)
    table.show_header = any(columns)
    shown = [[("" if value is None else value) for value in row] for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(shown) and all(isinstance(row[index], (int, float)) for row in shown)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in shown:
        table.add_row(*(escape(_text(value)) for value in row))
    console = StdoutConsole()
    if title is not None:
        console.print(escape(title), style="bold", highlight=False, soft_wrap=True)
    console.print(table, highlight=False)


def number(value: float) -> str:
    """Return a number for people: 135,100 or 0.4616."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.{max(0, 4 - _digits(value))}f}"


def _digits(value: float) -> int:
    """Return how many digits stand before the point."""
    return len(str(int(abs(value))))


def _text(value: object) -> str:
    return number(value) if isinstance(value, (int, float)) else str(value)
