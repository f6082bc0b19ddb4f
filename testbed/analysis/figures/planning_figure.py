"""Queries by what the master plans with, against plans that know no load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from testbed.analysis.figures.style import GREY, PALETTE, draw_grid, new_figure, save, styled


@styled
def draw_planning(folder: Path, panels: Mapping[str, pd.DataFrame], title: str, name: str) -> Path:
    """Draw a panel for each title, and return the PNG's path.

    Each has queries by those of plans without load: how much slower servers are by rows, what the
    master plans with by columns.
    """
    figure = new_figure(2.5)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for panel, (heading, ratios) in zip(axes, panels.items(), strict=True):
        _bars(panel, ratios)
        panel.set(title=heading, xlabel="Times slower than the profile")
    axes[0].set_ylabel("Queries by those without load")
    axes[0].legend(loc="upper left")
    figure.suptitle(title, fontsize=9)
    return save(figure, folder, name)


def _bars(axes: Axes, ratios: pd.DataFrame) -> None:
    places, width = np.arange(len(ratios)), 0.8 / len(ratios.columns)
    for number, (name, values) in enumerate(ratios.items()):
        offset = (number - (len(ratios.columns) - 1) / 2) * width
        axes.bar(places + offset, values, width, color=PALETTE[number], label=str(name))
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.set_xticks(places, [f"{slower:g}" for slower in ratios.index])
    axes.margins(y=0.12)
    draw_grid(axes)
