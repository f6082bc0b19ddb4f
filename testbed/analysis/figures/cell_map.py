"""A map of the cells: where traffic was, and where the clients walked."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import RegularPolygon

from testbed.analysis.figures.query_figures import natural_order
from testbed.analysis.figures.style import BACKGROUND, PALETTE, WIDTH_IN
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
    figure = Figure(
        figsize=(WIDTH_IN, float(np.clip(0.78 * WIDTH_IN * span + 0.8, 3, 9))), layout="constrained"
    )
    axes = figure.subplots()
    # A pointed top, as on the grid that the access points stand on
    hexagons = [
        RegularPolygon(centre, 6, radius=CELL_CIRCUMRADIUS_M)
        for centre in zip(x_m, y_m, strict=True)
    ]
    cells = PatchCollection(hexagons, cmap=BACKGROUND, edgecolor="#B5B5B5", linewidth=0.5)
    cells.set_array(megabytes)
    cells.set_clim(0, megabytes.max(initial=0) or 1)
    axes.add_collection(cells)
    if len(names) <= _LABELLED_CELLS:
        _label_cells(axes, schedule)
    handles = _paths(axes, schedule)
    axes.set_aspect("equal")
    axes.autoscale_view()
    axes.set(xlabel="x (m)", ylabel="y (m)")
    bar = figure.colorbar(
        cells, ax=axes, label="Backhaul traffic of the edge server (MB)", pad=0.01, shrink=0.8
    )
    bar.outline.set_visible(False)
    if handles:
        figure.legend(handles=handles, loc="outside upper center", ncols=min(len(handles), 4))
    return figure


def _label_cells(axes: Axes, schedule: Schedule) -> None:
    halo = [patheffects.withStroke(linewidth=1.6, foreground="white")]
    for each in schedule.access_points:
        axes.text(
            each.x_m,
            each.y_m - 0.62 * CELL_CIRCUMRADIUS_M,
            each.name,
            fontsize=5.5,
            ha="center",
            va="center",
            color="#444444",
            path_effects=halo,
            zorder=4,
        )


def _paths(axes: Axes, schedule: Schedule) -> list[Line2D]:
    """Draw each client's path within the run, a dot where it starts; return legend entries."""
    clients = sorted(schedule.clients, key=natural_order)
    halo = [patheffects.withStroke(linewidth=2.6, foreground="white")]
    handles = []
    for number, client in enumerate(clients):
        fixes = [
            fix
            for fix in schedule.fixes
            if fix.client == client and 0 <= fix.time_s <= schedule.duration_s
        ]
        dashed = number // len(PALETTE) % 2 == 1
        (line,) = axes.plot(
            [fix.x_m for fix in fixes],
            [fix.y_m for fix in fixes],
            color=PALETTE[number % len(PALETTE)],
            linestyle="--" if dashed else "-",
            linewidth=1.3,
            marker="o",
            markersize=4,
            markevery=[0] if fixes else None,
            path_effects=halo,
            label=client,
            zorder=3,
        )
        handles.append(line)
    return handles if len(handles) <= _NAMED_CLIENTS else []
