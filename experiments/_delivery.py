"""How an experiment that compares things hands over what it found."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pandas as pd

from testbed.commands.output import print_json
from testbed.errors import EXIT_COMPLETE, EXIT_INTERRUPTED
from testbed.runfolder import RunFolder

Row = dict[str, Any]
Measured = TypeVar("Measured")


def deliver(folder: RunFolder, rows: list[Row], as_json: bool, **more: list[Row]) -> None:
    """Keep rows in the folder, and print them if they are asked for as JSON."""
    content = _finite({"rows": rows} | more)
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    (folder.path / "rows.json").write_text(text, encoding="utf-8")
    if as_json:
        print_json(content)


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
