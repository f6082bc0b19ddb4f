"""Tables for people, on stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

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


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    title: str | None = None,
    right: Collection[int] = (),
) -> None:
    """Print a table as wide as the terminal admits.

    Columns of numbers stand on the right, and those whose places are in `right`.
    """
    table = Table(box=None, pad_edge=False)
    table.show_header = any(columns)
    shown = [[("" if value is None else value) for value in row] for row in rows]
    for index, column in enumerate(columns):
        numeric = bool(shown) and all(isinstance(row[index], (int, float)) for row in shown)
        justify: Literal["left", "right"] = "right" if numeric or index in right else "left"
        table.add_column(column, justify=justify, overflow="fold")
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
