"""Fig. 7: query time of a client that changes its server, by how much was migrated ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.analysis.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    SETTINGS,
    VERMILION,
    WIDTH_IN,
    draw_grid,
    legend_above,
    save,
)

_COLOURS = {"nothing": VERMILION, "part": BLUE, "all": GREEN}
_MARKERS = {"nothing": "o", "part": "s", "all": "^"}
_LABELS = {"nothing": "nothing migrated (IONN)", "part": "a part", "all": "all"}
_PALE = 0.4


@dataclass(frozen=True)
class Curve:
    """Queries after the change of server: when each was raised, and how long it took, s.

    `amount` is nothing, part or all; `expected` says that they are a simulation of what others
    measured.
    """

    amount: str
    raised_s: Sequence[float]
    latency_s: Sequence[float]
    expected: bool = False


@dataclass(frozen=True)
class Panel:
    """One model: its queries at the first server, the change, and a curve for each amount."""

    title: str
    before: Curve
    handover_s: float
    curves: Sequence[Curve]
    note: str  # about the part


def draw_single_client(panels: Sequence[Panel], folder: Path, name: str, uplink: str) -> Path:
    """Draw the figure as NAME.png and NAME.svg into a folder; return the PNG's path.

    `uplink` says how queries and upload use it: separate or shared.
    """
    with matplotlib.rc_context(SETTINGS):
        return save(single_client(panels, uplink), folder, name)


def single_client(panels: Sequence[Panel], uplink: str) -> Figure:
    """Draw query time over time, one panel a model, the change of server as a vertical line."""
    figure = Figure(figsize=(WIDTH_IN, 2.6), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(grid, panels, strict=True):
        _draw(axes, panel)
    grid[0].set_ylabel("Query time (s)")
    label = f"Time since the client attached to the first server (s); uplink {uplink}"
    figure.supxlabel(label, fontsize=8)
    amounts = [amount for amount in _LABELS if any(_has(panel, amount) for panel in panels)]
    handles = [
        Line2D([], [], color=BLACK, marker="o", markersize=2.2, linewidth=0.9, label="first server")
    ]
    handles += [
        Line2D([], [], **_style(amount), linewidth=0.9, label=_LABELS[amount]) for amount in amounts
    ]
    handles.append(Line2D([], [], color=GREY, linestyle=(0, (4, 2)), label="change of server"))
    if any(curve.expected for panel in panels for curve in panel.curves):
        handles.append(Line2D([], [], color=BLACK, alpha=_PALE, label="simulated"))
    legend_above(figure, handles)
    return figure


def _has(panel: Panel, amount: str) -> bool:
    return any(curve.amount == amount for curve in panel.curves)


def _style(amount: str) -> dict[str, Any]:
    return {"color": _COLOURS[amount], "marker": _MARKERS[amount], "markersize": 2.4}


def _draw(axes: Axes, panel: Panel) -> None:
    axes.axvline(panel.handover_s, color=GREY, linestyle=(0, (4, 2)), linewidth=0.9, zorder=1)
    for curve in (panel.before, *panel.curves):
        style = (
            {"color": BLACK, "marker": "o", "markersize": 2.0}
            if curve is panel.before
            else _style(curve.amount)
        )
        if curve.expected:
            style |= {"marker": None, "alpha": _PALE}
        axes.plot(curve.raised_s, curve.latency_s, linewidth=0.9, **style)
    axes.set_title(f"{panel.title}\n", loc="left", pad=3)
    note = axes.annotate(
        panel.note, (0, 1), (0, 3), "axes fraction", "offset points", fontsize=7, color="#555555"
    )
    note.set_in_layout(False)  # wide enough for the panel, and no reason to narrow it
    axes.set(ylim=(0, None), xlim=(0, None))
    draw_grid(axes)
