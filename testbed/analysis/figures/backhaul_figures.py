"""Figures of the edge servers' backhaul links."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from testbed.analysis.figures.style import (
    CAUSE_COLOURS,
    SEQUENTIAL,
    colour_bar,
    draw_grid,
    legend_above,
    new_figure,
    say_empty,
)
from testbed.analysis.traffic.crowding import peaks
from testbed.analysis.traffic.server_traffic import DIRECTIONS

_HEAT_MAP_SERVERS = 30  # more rows than these have illegible labels
_STACKED_SERVERS = 4
_FRAMED_INTERVALS = 200  # more have frames that hide them, and are a picture in the SVG


def most_loaded(backhaul: pd.DataFrame, number: int) -> list[str]:
    """Return the servers with the most bytes in both directions, the most loaded first."""
    total = backhaul.groupby("server")["bytes"].sum().sort_values(ascending=False, kind="stable")
    return [str(server) for server in total.index[:number]]


def interval_edges(interval_s: float, duration_s: float) -> np.ndarray:
    """Return where intervals begin and end, s: (n_intervals + 1,); the last may be shorter."""
    return np.append(np.arange(0, duration_s, interval_s), duration_s)


def backhaul_heat_map(backhaul: pd.DataFrame, interval_s: float, duration_s: float) -> Figure:
    """Draw the rate of each of the most loaded servers over time, uplink beside downlink."""
    servers = most_loaded(backhaul, _HEAT_MAP_SERVERS)
    edges = interval_edges(interval_s, duration_s)
    figure = new_figure(1.3 + 0.15 * max(len(servers), 4))
    panels = figure.subplots(1, 2, sharey=True)
    rates = [
        _rates(backhaul[backhaul["direction"] == direction], servers, len(edges) - 1)
        for direction in DIRECTIONS
    ]
    look: dict[str, Any] = {"edgecolor": "none", "linewidth": 0.0, "rasterized": True}
    if len(edges) <= _FRAMED_INTERVALS:
        look = {"edgecolor": "#E5E5E5", "linewidth": 0.4}
    highest = max((float(rate.max()) for rate in rates if rate.size), default=0) or 1.0
    for axes, direction, rate in zip(panels, DIRECTIONS, rates, strict=True):
        axes.set_title(direction.capitalize(), loc="left")
        axes.set_xlabel("Time since the run's start (s)")
        if not servers:
            say_empty(axes, "no traffic was captured")
            continue
        rows = np.arange(len(servers) + 1)
        mesh = axes.pcolormesh(edges, rows, rate, cmap=SEQUENTIAL, vmin=0, vmax=highest, **look)
        axes.set_yticks(np.arange(len(servers)) + 0.5, servers)
        axes.tick_params(axis="y", length=0)
        axes.spines[:].set_visible(False)
    if servers:
        panels[0].invert_yaxis()
        all_servers = backhaul["server"].nunique()
        of_many = f"The {len(servers)} most loaded of {all_servers} edge servers"
        is_all = len(servers) == all_servers
        panels[0].set_ylabel("Edge server, most loaded first" if is_all else of_many)
        colour_bar(figure, mesh, panels, "Rate (Mbit/s)", aspect=30)
    return figure


def _rates(backhaul: pd.DataFrame, servers: list[str], intervals: int) -> np.ndarray:
    """Return Mbit/s by server and interval: (n_servers, n_intervals)."""
    table = backhaul.pivot_table(
        index="server", columns="interval", values="mbps", aggfunc="sum", fill_value=0.0
    )
    return table.reindex(index=servers, columns=range(intervals), fill_value=0.0).to_numpy(float)


def backhaul_causes(backhaul: pd.DataFrame, interval_s: float, duration_s: float) -> Figure:
    """Draw uplink and downlink of the most crowded servers over time, stacked by cause."""
    named = [str(each) for each in backhaul["server"].unique()]
    crowded = peaks(backhaul, named)["uplink"].nlargest(_STACKED_SERVERS).index
    servers = list(crowded) or ["no traffic"]
    edges = interval_edges(interval_s, duration_s)
    figure = new_figure(0.8 + 1.2 * len(servers))
    grid = figure.subplots(len(servers), 2, sharex=True, sharey=True, squeeze=False)
    highest = 0.0
    for row, server in zip(grid, servers, strict=True):
        for axes, direction in zip(row, DIRECTIONS, strict=True):
            chosen = (backhaul["server"] == server) & (backhaul["direction"] == direction)
            _stack(axes, backhaul[chosen], edges)
            axes.set_title(f"{server}, {direction}", loc="left", pad=3)
            highest = max(highest, axes.dataLim.ymax)
    grid[0, 0].set(ylim=(0, 1.1 * highest or 1), xlim=(0, duration_s))
    figure.supxlabel("Time since the run's start (s)", fontsize=8)
    figure.supylabel("Rate (Mbit/s)", fontsize=8)
    legend_above(figure, [Patch(color=c, label=cause) for cause, c in CAUSE_COLOURS.items()])
    return figure


def _stack(axes: Axes, backhaul: pd.DataFrame, edges: np.ndarray) -> None:
    rates = _rates(backhaul.assign(server=backhaul["cause"]), list(CAUSE_COLOURS), len(edges) - 1)
    base = np.zeros(len(edges) - 1)
    look: dict[str, Any] = {"linewidth": 0, "rasterized": len(edges) > _FRAMED_INTERVALS}
    for rate, colour in zip(rates, CAUSE_COLOURS.values(), strict=True):
        axes.stairs(base + rate, edges, baseline=base, fill=True, color=colour, **look)
        base = base + rate
    draw_grid(axes)
