"""A map of the cells: where traffic was, and where the clients walked."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.analysis.figures.query_figures import natural_order
from testbed.analysis.figures.style import (
    BACKGROUND,
    PALETTE,
    WIDTH_IN,
    as_map,
    colour_bar,
    hexagons,
    new_figure,
)
from testbed.values import Schedule

CELL_CIRCUMRADIUS_M = 50.0  # section IV.B: hexagonal cells of 50 m
_LABELLED_CELLS = 60
_NAMED_CLIENTS = 12


def cell_map(backhaul: pd.DataFrame, schedule: Schedule) -> Figure:
    """Draw every cell coloured by its server's traffic (both directions), and clients' paths."""
    traffic = backhaul.groupby("server")["bytes"].sum()
    names = [each.name for each in schedule.access_points]
    megabytes = traffic.reindex(names).fillna(0).to_numpy(float) / 1e6
    x_m = np.array([each.x_m for each in schedule.access_points])
    y_m = np.array([each.y_m for each in schedule.access_points])
    span = (np.ptp(y_m) + 150) / (np.ptp(x_m) + 150)
    figure = new_figure(float(np.clip(0.78 * WIDTH_IN * span + 0.8, 3, 9)))
    axes = figure.subplots()
    look = {"cmap": BACKGROUND, "edgecolor": "#B5B5B5", "linewidth": 0.5}
    cells = hexagons(zip(x_m, y_m, strict=True), CELL_CIRCUMRADIUS_M, **look)
    cells.set_array(megabytes)
    cells.set_clim(0, megabytes.max(initial=0) or 1)
    axes.add_collection(cells)
    if len(names) <= _LABELLED_CELLS:
        _label_cells(axes, schedule)
    handles = _paths(axes, schedule)
    as_map(axes)
    colour_bar(figure, cells, axes, "Backhaul traffic of the edge server (MB)", shrink=0.8)
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4))
    return figure


def _label_cells(axes: Axes, schedule: Schedule) -> None:
    halo = [patheffects.withStroke(linewidth=1.6, foreground="white")]
    for each in schedule.access_points:
        below_m = each.y_m - 0.62 * CELL_CIRCUMRADIUS_M
        axes.text(each.x_m, below_m, each.name, fontsize=5.5, ha="center", va="center",
                  color="#444444", path_effects=halo, zorder=4)  # fmt: skip


def _paths(axes: Axes, schedule: Schedule) -> list[Line2D]:
    """Draw each client's path within the run, a dot where it starts; return legend entries."""
    clients = sorted(schedule.clients, key=natural_order)
    halo = [patheffects.withStroke(linewidth=2.6, foreground="white")]
    handles: list[Line2D] = []
    for number, client in enumerate(clients):
        fixes = [
            fix
            for fix in schedule.fixes
            if fix.client == client and 0 <= fix.time_s <= schedule.duration_s
        ]
        handles += axes.plot(
            [fix.x_m for fix in fixes],
            [fix.y_m for fix in fixes],
            color=PALETTE[number % len(PALETTE)],
            linestyle="--" if number // len(PALETTE) % 2 else "-",
            linewidth=1.3,
            marker="o",
            markersize=4,
            markevery=[0] if fixes else None,
            path_effects=halo,
            label=client,
            zorder=3,
        )
    return handles if len(handles) <= _NAMED_CLIENTS else []
