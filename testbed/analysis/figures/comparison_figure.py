"""Both engines in one figure: each handover a point, on the diagonal where they agree."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from testbed.analysis.figures.style import BLUE, GREY, VERMILION, new_figure, save, styled

NAME = "compare"
_PANELS = (
    ("present_bytes", 1e-6, "Layers present on attachment (MB)"),
    ("queries", 1.0, "Queries until the client left"),
    ("upload_s", 1.0, "Upload (s)"),
)


@styled
def draw_comparison(stays: pd.DataFrame, folder: Path) -> Path:
    """Draw `Comparison.stays` into a folder; return the PNG's path."""
    figure = new_figure(2.6)
    for axes, (name, scale, title) in zip(figure.subplots(1, 3), _PANELS, strict=True):
        _draw(axes, stays, name, scale, title)
    return save(figure, folder, NAME)


def _draw(axes: Axes, stays: pd.DataFrame, name: str, scale: float, title: str) -> None:
    emulated, simulated = stays[f"{name}_emulated"] * scale, stays[f"{name}_simulated"] * scale
    most = max(emulated.max(), simulated.max(), 1e-9) * 1.05
    axes.plot([0, most], [0, most], color=GREY, linewidth=0.8, zorder=1)
    for agrees, colour, marker, label in (
        (True, BLUE, "o", "layers agree"),
        (False, VERMILION, "x", "layers differ"),
    ):
        chosen = stays["agrees"] == agrees
        if chosen.any():
            x, y = emulated[chosen], simulated[chosen]
            axes.scatter(x, y, s=16, c=colour, marker=marker, label=label)
    axes.set(title=title, xlabel="emulated", ylabel="simulated", xlim=(0, most), ylim=(0, most))
    axes.set_aspect("equal")
    if name == "present_bytes":
        axes.legend(loc="upper left")
