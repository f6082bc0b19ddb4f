"""Fig. 1 and Fig. 7: query time of a client that changes its server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from testbed.analysis.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    VERMILION,
    draw_grid,
    legend_above,
    new_figure,
    save,
    styled,
)

_FIRST: dict[str, Any] = {"color": BLACK, "marker": "o", "linewidth": 0.9}
_STYLES: dict[str, dict[str, Any]] = {
    "nothing": {"color": VERMILION, "marker": "o", "markersize": 2.4, "linewidth": 0.9},
    "part": {"color": BLUE, "marker": "s", "markersize": 2.4, "linewidth": 0.9},
    "all": {"color": GREEN, "marker": "^", "markersize": 2.4, "linewidth": 0.9},
}
_LABELS = {"nothing": "nothing migrated (IONN)", "part": "a part", "all": "all"}
_CHANGE: dict[str, Any] = {"color": GREY, "linestyle": (0, (4, 2))}
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


@dataclass(frozen=True)
class Series:
    """Queries by their numbers, and how long each took, s."""

    label: str
    number: Sequence[int]
    latency_s: Sequence[float]


@styled
def draw_cold_starts(series: Sequence[Series], last_before: int, folder: Path, name: str) -> Path:
    """Draw query time by query; the server changes after the query `last_before`.

    Return NAME.png's path.
    """
    figure = new_figure(2.4, 4.5)
    axes = figure.subplots()
    axes.axvline(last_before + 0.5, **_CHANGE, linewidth=0.9, zorder=1)
    looks = zip(series, (BLACK, BLUE), ("o", "s"), strict=False)
    for each, colour, marker in looks:
        axes.plot(each.number, each.latency_s, color=colour, marker=marker, markersize=2.4,
                  linewidth=0.9, label=each.label)  # fmt: skip
    axes.set(xlabel="Query", ylabel="Query time (s)", ylim=(0, None), xlim=(0, None))
    handles, _ = axes.get_legend_handles_labels()
    legend_above(figure, [*handles, Line2D([], [], **_CHANGE, label="change of server")])
    draw_grid(axes)
    return save(figure, folder, name)


@styled
def draw_single_client(panels: Sequence[Panel], folder: Path, name: str, uplink: str) -> Path:
    """Draw query time over time, one panel a model, the change of server as a vertical line.

    `uplink` says how queries and upload use it: separate or shared. Return NAME.png's path.
    """
    figure = new_figure(2.6)
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, panel in zip(grid, panels, strict=True):
        _draw(axes, panel)
    grid[0].set_ylabel("Query time (s)")
    label = f"Time since the client attached to the first server (s); uplink {uplink}"
    figure.supxlabel(label, fontsize=8)
    curves = [curve for panel in panels for curve in panel.curves]
    amounts = {curve.amount for curve in curves}
    handles = [Line2D([], [], **_FIRST, markersize=2.2, label="first server")]
    handles += [Line2D([], [], **_STYLES[amount], label=label)
                for amount, label in _LABELS.items() if amount in amounts]  # fmt: skip
    handles.append(Line2D([], [], **_CHANGE, label="change of server"))
    if any(curve.expected for curve in curves):
        handles.append(Line2D([], [], color=BLACK, alpha=_PALE, label="simulated"))
    legend_above(figure, handles)
    return save(figure, folder, name)


def _draw(axes: Axes, panel: Panel) -> None:
    axes.axvline(panel.handover_s, **_CHANGE, linewidth=0.9, zorder=1)
    axes.plot(panel.before.raised_s, panel.before.latency_s, **_FIRST, markersize=2.0)
    for curve in panel.curves:
        pale = {"marker": None, "alpha": _PALE} if curve.expected else {}
        axes.plot(curve.raised_s, curve.latency_s, **(_STYLES[curve.amount] | pale))
    axes.set_title(f"{panel.title}\n", loc="left", pad=3)
    note = axes.annotate(panel.note, (0, 1), (0, 3), "axes fraction", "offset points",
                         fontsize=7, color="#555555")  # fmt: skip
    note.set_in_layout(False)  # wide enough for the panel, and no reason to narrow it
    axes.set(ylim=(0, None), xlim=(0, None))
    draw_grid(axes)
