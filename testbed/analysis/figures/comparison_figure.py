"""Both engines in one figure: each handover a point, on the diagonal where they agree."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from testbed.analysis.figures.style import BLUE, GREY, SETTINGS, VERMILION, WIDTH_IN, save

NAME = "compare"
_PANELS = (
    ("present_bytes", 1e-6, "Layers present on attachment (MB)"),
    ("queries", 1.0, "Queries until the client left"),
    ("upload_s", 1.0, "Upload (s)"),
)


def draw_comparison(stays: pd.DataFrame, folder: Path) -> Path:
    """Draw `Comparison.stays` into a folder; return the PNG's path."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH_IN, 2.6), layout="constrained")
        for axes, (name, scale, title) in zip(figure.subplots(1, 3), _PANELS, strict=True):
            _draw(axes, stays, name, scale, title)
        return save(figure, folder, NAME)


def _draw(axes: Axes, stays: pd.DataFrame, name: str, scale: float, title: str) -> None:
    emulated, simulated = (
        stays[f"{name}_{engine}"] * scale for engine in ("emulated", "simulated")
    )
    most = max(emulated.max(), simulated.max(), 1e-9) * 1.05
    axes.plot([0, most], [0, most], color=GREY, linewidth=0.8, zorder=1)
    for agrees, colour, marker, label in (
        (True, BLUE, "o", "layers agree"),
        (False, VERMILION, "x", "layers differ"),
    ):
        chosen = stays["agrees"] == agrees
        if chosen.any():
            axes.scatter(
                emulated[chosen], simulated[chosen], s=16, c=colour, marker=marker, label=label
            )
    axes.set(title=title, xlabel="emulated", ylabel="simulated", xlim=(0, most), ylim=(0, most))
    axes.set_aspect("equal")
    if name == "present_bytes":
        axes.legend(loc="upper left")
