"""How figures look: light, print-ready, and readable without telling red from green."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import RegularPolygon

# Okabe and Ito's palette: distinct under the common kinds of colour blindness.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, BLACK, GREY = "#56B4E9", "#CC79A7", "#222222", "#8C8C8C"
PALETTE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)

HIT, MISS = GREEN, VERMILION
CAUSE_COLOURS = {
    "migration": BLUE,
    "upload": ORANGE,
    "query": GREEN,
    "control": PURPLE,
    "other": GREY,
}
SEQUENTIAL = "Blues"
# On white: nothing is grey, and what is dark is much.
LOAD = LinearSegmentedColormap.from_list("load", ["#C3CCD4", "#56B4E9", "#0072B2", "#14304F"])
# Stays pale enough for coloured lines and dark labels on top of it.
BACKGROUND = LinearSegmentedColormap.from_list("background", ["#FFFFFF", "#A9B7C6", "#66788A"])

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "axes.edgecolor": "#555555",
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.fonttype": "none",
    # The same data gives the same file.
    "svg.hashsalt": "perdnn-testbed",
}
#: Decorates what draws and saves a figure.
styled = matplotlib.rc_context(_SETTINGS)
WIDTH_IN = 7.0  # both columns of a two-column page
_DPI = 200


def new_figure(height_in: float, width_in: float = WIDTH_IN) -> Figure:
    """Return an empty figure whose parts make room for each other."""
    return Figure(figsize=(width_in, height_in), layout="constrained")


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write a figure as NAME.png and NAME.svg; return the PNG's path."""
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    figure.savefig(folder / f"{name}.png", bbox_inches="tight", dpi=_DPI)
    return folder / f"{name}.png"


def draw_grid(*panels: Axes) -> None:
    """Draw pale horizontal lines behind the data."""
    for axes in panels:
        axes.grid(axis="y", color="#E5E5E5", linewidth=0.5)
        axes.set_axisbelow(True)


def hexagons(centres_m: Iterable[Any], circumradius_m: float, **look: Any) -> PatchCollection:
    """Return cells with a pointed top, as on the grid that the access points stand on."""
    cells = [RegularPolygon(centre_m, 6, radius=circumradius_m) for centre_m in centres_m]
    return PatchCollection(cells, **look)


def as_map(axes: Axes) -> None:
    """Let metres be as long in both directions, and all that was drawn be seen."""
    axes.set(aspect="equal", xlabel="x (m)", ylabel="y (m)")
    axes.autoscale_view()


def colour_bar(
    figure: Figure, shown: ScalarMappable, axes: Any, label: str, pad: float = 0.01, **look: Any
) -> None:
    """Say beside some axes what their colours mean."""
    bar = figure.colorbar(shown, ax=axes, label=label, pad=pad, **look)
    bar.outline.set_visible(False)


def legend_above(figure: Figure, handles: Sequence[Artist]) -> None:
    """Put one legend in a row above all axes."""
    figure.legend(handles=list(handles), loc="outside upper center", ncols=len(handles))


def say_empty(axes: Axes, text: str) -> None:
    """State in an empty plot why nothing is in it."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
