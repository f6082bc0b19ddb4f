"""What a study found: rows of figures, kept, printed as JSON or as tables for people."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from testbed.errors import EXIT_COMPLETE, EXIT_INTERRUPTED
from testbed.output import print_json, to_json
from testbed.runs.folder import RunFolder
from testbed.terminal import print_table

Row = dict[str, Any]
Measured = TypeVar("Measured")


class Column(NamedTuple):
    """A column of a table: its heading, what it shows of a row, and whether on the right."""

    heading: str
    cell: Callable[[Row], object]
    right: bool = False


def plain(heading: str, figure: object = None, form: str = "") -> Column:
    """Show a value of each row, text as it is and numbers in a format such as ",.0f".

    It is called as its heading says, unless named. What could not be measured is "-".
    """
    name: Any = heading if figure is None else figure

    def cell(row: Row) -> object:
        value = row[name]
        if isinstance(value, float) and math.isnan(value):
            return "-"
        return format(value, form) if form and not isinstance(value, str) else value

    return Column(heading, cell, right=bool(form))


def spread_of(heading: str, figure: str, scale: float = 1) -> Column:
    """Show a mean and its standard deviation."""
    return Column(heading, lambda row: spread(row[figure], row[f"{figure}_sd"], scale))


def percent(heading: str, figure: str, digits: int = 1) -> Column:
    """Show a share in per cent."""
    return Column(heading, lambda row: f"{100 * row[figure]:.{digits}f}")


@dataclass(frozen=True)
class Table:
    """A table for people: a line for each row."""

    columns: Sequence[Column]
    rows: Iterable[Row]
    title: str | None = None

    def print(self) -> None:
        """Print it."""
        headings = [column.heading for column in self.columns]
        cells = [[column.cell(row) for column in self.columns] for row in self.rows]
        right = [place for place, column in enumerate(self.columns) if column.right]
        print_table(headings, cells, self.title, right)


@dataclass(frozen=True)
class Findings:
    """What came of a study."""

    rows: list[Row]  # what --json prints as `rows`
    shown: Iterable[str | Table] = ()  # sentences and tables for people
    figures: Sequence[Path] = ()
    more: dict[str, list[Row]] = field(default_factory=dict)  # further rows for --json, by name

    def deliver(self, folder: RunFolder, *, as_json: bool) -> None:
        """Keep the rows in the folder, and print them as JSON or for people."""
        content = _finite({"rows": self.rows} | self.more)
        (folder.path / "rows.json").write_text(to_json(content), encoding="utf-8")
        if as_json:
            print_json(content)
        else:
            for each in self.shown:
                each.print() if isinstance(each, Table) else sys.stdout.write(each + "\n")
        if self.figures:
            plural = "s" if len(self.figures) > 1 else ""
            say(f"figure{plural}: {', '.join(map(str, self.figures))}")
        say(f"files: {folder.path}")


def _finite(value: Any) -> Any:
    """Return values with null where JSON has no number: what could not be measured."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def gather(measured: Iterator[Measured]) -> tuple[list[Measured], int]:
    """Return all that is measured, and the exit status; after Ctrl-C, what was measured so far."""
    found: list[Measured] = []
    try:
        for each in measured:
            found.append(each)
    except KeyboardInterrupt:
        say("interrupted; what was measured so far is kept")
        return found, EXIT_INTERRUPTED
    return found, EXIT_COMPLETE


def deviation(figures: pd.Series) -> float:
    """Return the standard deviation over splits, NaN for a single one."""
    return float(figures.std(ddof=0)) if len(figures) > 1 else math.nan


def means(splits: pd.DataFrame, figures: Sequence[str]) -> Row:
    """Return the mean of each figure over splits, and its deviation as `FIGURE_sd`."""
    row: Row = {}
    for figure in figures:
        row[figure] = float(splits[figure].mean())
        row[f"{figure}_sd"] = deviation(splits[figure])
    return row


def spread(mean: float, sd: float, scale: float) -> str:
    """Return "12.3 ± 0.4", without the second where there is none."""
    if math.isnan(mean):
        return "-"
    return f"{mean * scale:.1f}" + ("" if math.isnan(sd) else f" ± {sd * scale:.1f}")


def say(text: str) -> None:
    """Tell people something beside the rows."""
    sys.stderr.write(text + "\n")
