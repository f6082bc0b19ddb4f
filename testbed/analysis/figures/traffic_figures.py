"""Figures of the backhaul as a whole: its servers' peaks, who migrates to whom, load on links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from testbed.analysis.figures.query_figures import natural_order
from testbed.analysis.figures.style import (
    BLACK,
    BLUE,
    GREY,
    LOAD,
    SEQUENTIAL,
    VERMILION,
    WIDTH_IN,
    as_map,
    colour_bar,
    draw_grid,
    new_figure,
    say_empty,
)
from testbed.analysis.traffic.crowding import CROWDED_MBPS, peaks
from testbed.analysis.traffic.server_traffic import DIRECTIONS
from testbed.values import Schedule

_MATRIX_SERVERS = 40
_LABELLED_SERVERS, _LABELLED_OF_MANY = 40, 6  # of many the ones with the busiest links
_COLOURS = {"uplink": BLUE, "downlink": VERMILION}
_BESIDE_SHARE = 0.08  # of the map's width
_THINNEST, _THICKEST = 0.4, 4.0  # points

Position = tuple[float, float]


def peaks_cdf(backhaul: pd.DataFrame, servers: Sequence[str]) -> Figure:
    """Draw which share of the servers has at most which peak rate, uplink and downlink."""
    figure = new_figure(2.5, WIDTH_IN / 2)
    axes = figure.subplots()
    peak = peaks(backhaul, servers)
    for direction in DIRECTIONS:
        axes.ecdf(peak[direction], label=direction.capitalize(), color=_COLOURS[direction])
    axes.axvline(CROWDED_MBPS, color=GREY, linestyle=":", linewidth=1)
    axes.annotate(f"{CROWDED_MBPS:g} Mbit/s", (CROWDED_MBPS, 0.02), (-3, 0), fontsize=7,
                  textcoords="offset points", ha="right", color=GREY)  # fmt: skip
    highest = max(CROWDED_MBPS, float(peak.to_numpy().max(initial=0)))
    axes.set(xlim=(0, 1.05 * highest), ylim=(0, 1))
    axes.set(xlabel="Peak rate of an edge server (Mbit/s)", ylabel="Share of the edge servers")
    axes.legend(loc="center")
    draw_grid(axes)
    return figure


def migration_matrix(transfers: pd.DataFrame) -> Figure:
    """Draw how many bytes each server sent to each: senders downwards, receivers across.

    Of many servers those that sent and received most are drawn.
    """
    migrations = transfers[(transfers["cause"] == "migration") & (transfers["bytes"] > 0)]
    sent = migrations.groupby("source")["bytes"].sum()
    received = migrations.groupby("destination")["bytes"].sum()
    most = sent.add(received, fill_value=0).nlargest(_MATRIX_SERVERS).index
    table = migrations[migrations["source"].isin(most) & migrations["destination"].isin(most)]
    senders, receivers = (sorted(table[end].astype(str).unique(), key=natural_order)
                          for end in ("source", "destination"))  # fmt: skip
    width_in, height_in = (1.6 + 0.13 * max(len(ends), 12) for ends in (receivers, senders))
    figure = new_figure(height_in, min(width_in + 0.9, WIDTH_IN))
    axes = figure.subplots()
    if not senders:
        say_empty(axes, "nothing was migrated")
        axes.set_axis_off()
        return figure
    sizes = table.pivot_table(
        index="source", columns="destination", values="bytes", aggfunc="sum"
    ).reindex(index=senders, columns=receivers)
    across, down = (np.arange(len(ends) + 1) - 0.5 for ends in (receivers, senders))
    megabytes = sizes.to_numpy(float) / 1e6
    mesh = axes.pcolormesh(across, down, megabytes, cmap=SEQUENTIAL, vmin=0, rasterized=True)
    axes.set_xticks(range(len(receivers)), receivers, rotation=90, fontsize=6)
    axes.set_yticks(range(len(senders)), senders, fontsize=6)
    axes.invert_yaxis()
    axes.set(aspect="equal", xlabel="Receiving edge server", ylabel="Sending edge server")
    if (there_are := len(sent.index.union(received.index))) > len(most):
        axes.set_title(f"The {len(most)} busiest of {there_are}", loc="left")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(True)
    colour_bar(figure, mesh, axes, "Migrated (MB)", pad=0.02, shrink=0.8)
    return figure


def backhaul_map(switch_ports: Sequence[Mapping[str, Any]], schedule: Schedule) -> Figure:
    """Draw the backhaul's links on the map, by the bytes that the switches counted on each.

    A link's load is the mean rate of its busier direction over the run. A switch stands in the
    middle of what is attached to it.
    """
    figure = new_figure(5.0)
    axes = figure.subplots()
    places: dict[str, Position] = {ap.name: (ap.x_m, ap.y_m) for ap in schedule.access_points}
    if not switch_ports:
        say_empty(axes, "the switches were not asked for their counters")
        axes.set_axis_off()
        return figure
    servers = set(places)
    places |= _switch_places(switch_ports, places)
    links = _loads(switch_ports, schedule.duration_s)
    pairs = [pair for pair in links if set(pair) <= places.keys()]
    loads = np.array([links[pair] for pair in pairs])
    order = np.argsort(loads)
    widths = _THINNEST + (_THICKEST - _THINNEST) * loads / (loads.max(initial=0) or 1)
    ends = [[places[end] for end in pairs[i]] for i in order]
    lines = LineCollection(ends, linewidths=widths[order], cmap=LOAD, capstyle="round", zorder=1)
    lines.set_array(loads[order])
    lines.set_clim(0, loads.max(initial=0) or 1)
    axes.add_collection(lines)
    _draw_nodes(axes, places, servers)
    labelled = set(places)
    if len(servers) > _LABELLED_SERVERS:
        busy = [servers & set(pairs[i]) for i in order[::-1] if loads[i] > 0]
        named = [name for pair in busy for name in sorted(pair)]
        labelled = places.keys() - servers | set(list(dict.fromkeys(named))[:_LABELLED_OF_MANY])
    _label_nodes(axes, {name: places[name] for name in sorted(labelled)}, servers)
    axes.margins(0.05)
    as_map(axes)
    colour_bar(figure, lines, axes, "Mean rate of the busier direction (Mbit/s)", shrink=0.8)
    return figure


def _draw_nodes(axes: Axes, places: Mapping[str, Position], servers: Set[str]) -> None:
    for names, marker, size in ((servers, "o", 9), (places.keys() - servers, "s", 18)):
        spots = np.array([places[name] for name in sorted(names)]).reshape(-1, 2)
        look = {"color": "white", "edgecolor": BLACK, "linewidth": 0.6, "zorder": 2}
        axes.scatter(spots[:, 0], spots[:, 1], s=size, marker=marker, **look)  # type: ignore[arg-type]


def _label_nodes(axes: Axes, places: Mapping[str, Position], servers: Set[str]) -> None:
    for name, place in places.items():
        offset = (3, -7 if name in servers else 3)
        axes.annotate(name, place, offset, textcoords="offset points", fontsize=5.5, zorder=3)


def _loads(
    switch_ports: Iterable[Mapping[str, Any]], duration_s: float
) -> dict[tuple[str, str], float]:
    """Return each link's load in Mbit/s; between two switches both count the same bytes."""
    loads: dict[tuple[str, str], float] = {}
    for port in switch_ports:
        first, second = sorted((str(port["switch"]), str(port["neighbour"])))
        mbps = max(port["rx_bytes"], port["tx_bytes"]) * 8 / duration_s / 1e6
        loads[first, second] = max(mbps, loads.get((first, second), 0.0))
    return loads


def _switch_places(
    switch_ports: Iterable[Mapping[str, Any]], servers: Mapping[str, Position]
) -> dict[str, Position]:
    """Return where to draw switches and master: amid their neighbours, from the edge inwards.

    What has one neighbour alone, as the master has, stands beside it.
    """
    neighbours: dict[str, set[str]] = {}
    for port in switch_ports:
        ends = str(port["switch"]), str(port["neighbour"])
        for here, there in (ends, ends[::-1]):
            neighbours.setdefault(here, set()).add(there)
    places: dict[str, Position] = {}
    while True:
        known = {**servers, **places}
        found = {
            node: tuple(np.mean([known[each] for each in around if each in known], axis=0))
            for node, around in neighbours.items()
            if node not in known and any(each in known for each in around)
        }
        if not found:
            break
        places |= {node: (float(x_m), float(y_m)) for node, (x_m, y_m) in found.items()}
    beside_m = _BESIDE_SHARE * float(np.ptp([x_m for x_m, _ in servers.values()] or [0.0]))
    for node, (x_m, y_m) in places.items():
        if len(neighbours[node]) == 1:
            places[node] = (x_m + beside_m, y_m)
    return places
