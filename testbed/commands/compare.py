"""`testbed compare`: an emulated run beside the simulation of the same window."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.errors import EXIT_COMPLETE
from testbed.output import add_json, print_json
from testbed.runs.folder import RunFolder
from testbed.terminal import number, print_table

if TYPE_CHECKING:
    from testbed.analysis.comparison import Comparison

HELP = "compare an emulated run with a simulated one of the same window"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("emulated", type=Path, metavar="EMULATED", help="the folder of a run")
    parser.add_argument(
        "simulated", type=Path, metavar="SIMULATED", help="of the same with --engine simulate"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="for the figure (default: SIMULATED/figures)"
    )
    add_json(parser)


def run(given: argparse.Namespace) -> int:
    """Compare, draw and print."""
    from testbed.analysis.comparison import compare_runs
    from testbed.analysis.figures.comparison_figure import draw_comparison

    found = compare_runs(RunFolder(given.emulated), RunFolder(given.simulated))
    figure = draw_comparison(found.stays, given.out or RunFolder(given.simulated).figures)
    if given.json:
        print_json(found.content() | {"figure": str(figure)})
    else:
        _print(found, figure)
    return EXIT_COMPLETE


def _print(found: Comparison, figure: Path) -> None:
    from testbed.analysis.comparison import HIT_TOLERANCE, TOTAL_TOLERANCE, TOTALS

    meaning = {key: f"{text}, {unit}" if unit else text for key, text, unit in TOTALS}
    print_table(
        ("", "emulated", "simulated", "difference"),
        [
            (
                meaning[row["key"]],
                _text(row["emulated"]),
                _text(row["simulated"]),
                _share(row["difference"]),
            )
            for row in found.totals.to_dict(orient="records")
        ],
    )
    apart = found.stays[~found.stays["agrees"]]
    if len(apart):
        print_table(
            ("client", "to", "at, s", "emulated, MB", "simulated, MB"),
            [
                (
                    row.client,
                    row.to_ap,
                    f"{row.trace_s:g}",
                    f"{row.present_bytes_emulated / 1e6:.1f}",
                    f"{row.present_bytes_simulated / 1e6:.1f}",
                )
                for row in apart.itertuples()
            ],
            title="Attachments at which the layers present differ",
        )
    verdict = found.disagreements or [
        f"the engines agree: every attachment within {HIT_TOLERANCE:.0%} of the wanted bytes,"
        f" totals within {TOTAL_TOLERANCE:.0%}"
    ]
    print_table(("",), [(line,) for line in (*verdict, f"figure: {figure}")])


def _share(difference: float | None) -> str:
    unknown = difference is None or math.isnan(difference)  # such as that of two zeros
    return "" if unknown else f"{difference:+.1%}"


def _text(value: float | None) -> str:
    return "-" if value is None else number(value)
