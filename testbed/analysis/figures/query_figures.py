"""Figures of what the clients saw: query times and handovers."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from testbed.analysis.figures.style import (
    BLACK,
    GREY,
    HIT,
    MISS,
    draw_grid,
    legend_above,
    new_figure,
    say_empty,
)
from testbed.analysis.summary import moves

_COLUMNS = 2
_MAX_CLIENTS = 16
_MAX_POINTS = 20_000  # in a panel; more are drawn as a picture in the SVG


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return a sorting key that puts client10 behind client2."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (0, part) for part in parts]


def query_times(queries: pd.DataFrame, handovers: pd.DataFrame, duration_s: float) -> Figure:
    """Draw query time over time, one panel a client, with its handovers as vertical lines.

    Of many clients those that moved most are drawn.
    """
    most = handovers["client"].value_counts().index[:_MAX_CLIENTS]
    clients = sorted(most, key=natural_order) or ["no client"]
    rows = math.ceil(len(clients) / _COLUMNS)
    figure = new_figure(0.55 + 1.15 * rows)
    grid = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    for axes, client in zip(grid.flat, clients, strict=False):
        own = (table[table["client"] == client] for table in (queries, handovers))
        _client_panel(axes, *own)
        axes.set_title(client, loc="left", pad=3)
    for axes in grid.flat[len(clients) :]:
        axes.set_visible(False)
    longest_s = 1.08 * queries["latency_s"].max() if len(queries) else 1
    grid[0, 0].set(xlim=(0, duration_s), ylim=(0, longest_s))
    for axes in grid.flat[max(0, len(clients) - _COLUMNS) : len(clients)]:
        axes.xaxis.set_tick_params(labelbottom=True)
    figure.supxlabel("Time since the run's start (s)", fontsize=8)
    figure.supylabel("Query time (s)", fontsize=8)
    legend_above(figure, _query_legend())
    return figure


def _client_panel(axes: Axes, queries: pd.DataFrame, handovers: pd.DataFrame) -> None:
    moved = moves(handovers)
    look: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "linewidth": 1.1, "zorder": 1}
    for hit, colour, line in ((True, HIT, "-"), (False, MISS, (0, (4, 2)))):
        times_s = moved.loc[moved["hit"] == hit, "trace_s"]
        axes.vlines(times_s, 0, 1, color=colour, linestyle=line, **look)
    many = len(queries) > _MAX_POINTS
    for kind, marker in _QUERY_MARKERS.items():
        chosen = queries[_kind(queries) == kind]
        axes.plot(chosen["raised_s"], chosen["latency_s"], ls="", rasterized=many, **marker)
    draw_grid(axes)


_QUERY_MARKERS: dict[str, dict[str, Any]] = {
    "warm query": {"marker": "o", "markersize": 2.2, "color": BLACK, "markeredgewidth": 0},
    "cold-start query": {
        "marker": "o",
        "markersize": 3.2,
        "markerfacecolor": "white",
        "markeredgecolor": BLACK,
        "markeredgewidth": 0.6,
    },
    "failed query": {"marker": "x", "markersize": 4, "color": MISS, "markeredgewidth": 1.2},
}


def _kind(queries: pd.DataFrame) -> np.ndarray:
    failed = (queries["outcome"] == "fallback").to_numpy(dtype=bool)
    cold = queries["cold_start"].to_numpy(dtype=bool)
    return np.select([failed, cold], ["failed query", "cold-start query"], "warm query")


def _query_legend() -> list[Line2D]:
    return [
        *(Line2D([], [], ls="", label=kind, **look) for kind, look in _QUERY_MARKERS.items()),
        Line2D([], [], color=HIT, label="handover, hit"),
        Line2D([], [], color=MISS, linestyle=(0, (4, 2)), label="handover, miss"),
    ]


def hit_ratio(handovers: pd.DataFrame) -> Figure:
    """Draw for each handover the share of the wanted bytes that was there, and the counts."""
    moved = moves(handovers).sort_values("trace_s", ignore_index=True)
    figure = new_figure(2.4)
    counts, shares = figure.subplots(1, 2, width_ratios=(1, 4))
    hits = int(moved["hit"].sum())
    for place, (number, colour) in enumerate(((hits, HIT), (len(moved) - hits, MISS))):
        counts.bar(place, number, 0.62, color=colour)
        above = {"xytext": (0, 2), "textcoords": "offset points", "ha": "center"}
        counts.annotate(str(number), (place, number), **above)
    counts.set_xticks([0, 1], ["hits", "misses"])
    counts.yaxis.set_major_locator(MaxNLocator(integer=True))
    counts.margins(y=0.15)
    counts.set_ylabel("Handovers")
    ratio = f"Hit ratio {hits / len(moved):.0%}" if len(moved) else "No handovers"
    counts.set_title(ratio, loc="left")
    _presence(shares, moved)
    return figure


def _presence(axes: Axes, moved: pd.DataFrame) -> None:
    axes.set_title("Layers present on arrival", loc="left")
    axes.set(ylabel="Share of wanted bytes (%)", xlabel="Handovers in order of time", ylim=(0, 104))
    if moved.empty:
        say_empty(axes, "no handovers in this run")
        return
    # A plan that wants nothing from the server has all it wants.
    wanted = moved["wanted_bytes"].clip(lower=1)
    share = (100 * moved["present_bytes"] / wanted).where(moved["wanted_bytes"] > 0, 100)
    colours = np.where(moved["hit"].to_numpy(dtype=bool), HIT, MISS)
    number = np.arange(1, len(moved) + 1)
    axes.vlines(number, 0, share, color=colours, linewidth=1.2)
    axes.scatter(number, share, s=16, color=colours, zorder=3, clip_on=False)
    axes.set_xlim(0.3, len(moved) + 0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    draw_grid(axes)
    axes.axhline(100, color=GREY, linewidth=0.6, linestyle=":")
