"""Figures of simulations on whole data sets: Fig. 9 and Fig. 10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.analysis.figures.style import (
    GREY,
    PALETTE,
    WIDTH_IN,
    draw_grid,
    new_figure,
    save,
    styled,
)

Row = Mapping[str, Any]
_DOTTED: dict[str, Any] = {"linewidth": 0.9, "linestyle": ":"}

#: Of the reference's queries; what has less is not in the figure of the frontier.
LEAST_SHARE = 0.7


@styled
def draw_hit_ratios(folder: Path, rows: Sequence[Row], dataset: str) -> Path:
    """Draw queries after changes of server by model and policy, with hit ratios; return the PNG.

    `rows` have model, policy, queries_after, hit_ratio and their deviations (`_sd`).
    """
    models, policies = _different(rows, "model"), _different(rows, "policy")
    figure = new_figure(2.8, WIDTH_IN * 0.75)
    axes = figure.subplots()
    width = 0.8 / len(policies)
    for place, policy in enumerate(policies):
        own = {row["model"]: row for row in rows if row["policy"] == policy}
        x = np.array([models.index(model) for model in own])
        x = x + (place - (len(policies) - 1) / 2) * width
        heights = [row["queries_after"] / 1e3 for row in own.values()]
        error = np.nan_to_num([row["queries_after_sd"] / 1e3 for row in own.values()])
        look: dict[str, Any] = {"color": PALETTE[place], "error_kw": {"linewidth": 0.7}}
        axes.bar(x, heights, width * 0.94, yerr=error, label=policy, **look)
        for at, height, spread, row in zip(x, heights, error, own.values(), strict=True):
            axes.annotate(f"{row['hit_ratio']:.0%}", (at, height + spread), (0, 2),
                          textcoords="offset points", ha="center", fontsize=6.5)  # fmt: skip
    axes.set_xticks(range(len(models)), models)
    axes.set_ylabel("Queries after changes\nof server (thousands)")
    axes.set_title(f"Hit ratios and queries, {dataset}")
    axes.margins(y=0.1)
    draw_grid(axes)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return save(figure, folder, "fig9")


@styled
def draw_fractions(folder: Path, rows: Sequence[Row], published: Mapping[str, Row]) -> Path:
    """Draw peak uplink and queries lost against the fraction migrated; return the PNG.

    `rows` have model, fraction_mb (None: all), peak_uplink_mbps and queries_lost with their
    deviations (`_sd`); the paper's figures by model have migrated_mib, fractional_mbps and
    queries_lost.
    """
    figure = new_figure(2.6)
    peak, lost = figure.subplots(1, 2)
    for colour, model in zip(PALETTE, _different(rows, "model"), strict=False):
        (whole,), parts = _by_size([row for row in rows if row["model"] == model])
        parts.sort(key=lambda row: float(row["fraction_mb"]))
        x = [row["fraction_mb"] for row in parts]
        peak.axhline(whole["peak_uplink_mbps"], color=colour, **_DOTTED)
        for axes, name, scale in ((peak, "peak_uplink_mbps", 1), (lost, "queries_lost", 100)):
            y = [row[name] * scale for row in parts]
            error = np.nan_to_num([row[f"{name}_sd"] * scale for row in parts])
            axes.errorbar(x, y, yerr=error, color=colour, marker="o", markersize=3,
                          linewidth=1.2, elinewidth=0.7, label=model)  # fmt: skip
        if model in published:
            _draw_published(peak, lost, published[model], colour)
    peak.set_ylabel("Peak uplink (Mbit/s)")
    _finish_fractions(figure, peak, lost, "the paper's")
    return save(figure, folder, "fig10")


@styled
def draw_emulated_fractions(
    folder: Path, rows: Sequence[Row], published: Mapping[str, Row]
) -> Path:
    """Draw emulated peaks and queries against the fraction, beside the simulated; return the PNG.

    `rows` have model, engine, fraction_mb (None: all), crowded_uplink_mbps and queries_lost; the
    paper's figures are as for `draw_fractions`, of whole traces instead of this window.
    """
    figure = new_figure(2.6)
    peak, lost = figure.subplots(1, 2)
    looks = {"emulate": ("emulated", PALETTE[0], "-"), "simulate": ("simulated", GREY, "--")}
    for engine, (label, colour, style) in looks.items():
        wholes, parts = _by_size([row for row in rows if row["engine"] == engine])
        x = [row["fraction_mb"] for row in parts]
        for axes, name, scale in ((peak, "crowded_uplink_mbps", 1), (lost, "queries_lost", 100)):
            axes.plot(x, [scale * row[name] for row in parts], color=colour, linestyle=style,
                      marker="o", markersize=3, linewidth=1.2, label=label)  # fmt: skip
        for whole in wholes:
            peak.axhline(whole["crowded_uplink_mbps"], color=colour, **_DOTTED)
    for model in _different(rows, "model"):
        if model in published:
            _draw_published(peak, lost, published[model], GREY)
    peak.set_ylabel("Peak uplink of the crowded\nservers (Mbit/s)")
    _finish_fractions(figure, peak, lost, "the paper's, of whole traces")
    return save(figure, folder, "fig10")


def _by_size(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows of the whole model, and those of its fractions."""
    whole = [row for row in rows if row["fraction_mb"] is None]
    return whole, [row for row in rows if row["fraction_mb"] is not None]


def _draw_published(peak: Axes, lost: Axes, published: Row, colour: str) -> None:
    at_mb = published["migrated_mib"] * 2**20 / 1e6
    peak.plot(at_mb, published["fractional_mbps"], "x", color=colour)
    lost.plot(at_mb, 100 * published["queries_lost"], "x", color=colour)


def _finish_fractions(figure: Figure, peak: Axes, lost: Axes, crosses: str) -> None:
    """Say what the axes, the dotted lines and the crosses are."""
    peak.set_ylim(0, None)
    lost.set_ylabel("Queries lost after changes\nof server (%)")
    for axes in (peak, lost):
        axes.set(xlabel="Migrated at crowded servers, at most (MB)", xlim=(0, None))
    draw_grid(peak, lost)
    handles, labels = peak.get_legend_handles_labels()
    dotted = Line2D([], [], color=GREY, **_DOTTED)
    cross = Line2D([], [], color=GREY, marker="x", linestyle="")
    figure.legend([*handles, dotted, cross], [*labels, "the whole model", crosses],
                  loc="outside upper center", ncols=len(handles) + 2)  # fmt: skip


@styled
def draw_frontier(folder: Path, rows: Sequence[Row], goals: Sequence[Row]) -> Path:
    """Draw queries after changes of server against bytes and peak uplink; return the PNG.

    `rows` have model, choice, parameter (None: a single point), and the shares of a reference that
    it has: queries_share, bytes_share, peak_share. `goals` have queries, bytes and peak: shares
    that are to be reached.
    """
    models, choices = _different(rows, "model"), _different(rows, "choice")
    singles = {row["choice"] for row in rows if row["parameter"] is None}
    figure = new_figure(0.6 + 2.2 * len(models))
    grid = figure.subplots(len(models), 2, squeeze=False, sharey=True)
    for model, line in zip(models, grid, strict=True):
        for axes, x in zip(line, ("bytes", "peak"), strict=True):
            for number, choice in enumerate(choices):
                own = [r for r in rows if r["model"] == model and r["choice"] == choice]
                own.sort(key=lambda row: float(row[f"{x}_share"]))
                alone = own[0]["parameter"] is None
                others = [c for c in choices[:number] if c in singles]
                axes.plot(
                    [100 * row[f"{x}_share"] for row in own],
                    [100 * row["queries_share"] for row in own],
                    color=PALETTE[number % len(PALETTE)],
                    marker="XP*dhp"[len(others) % 6] if alone else "osD^v<"[number % 6],
                    markersize=6 if alone else 3,
                    linewidth=0 if alone else 1.2,
                    linestyle="--" if number >= len(PALETTE) else "-",
                    label=choice,
                )
            for goal in goals:
                at, least = 100 * goal[x], 100 * goal["queries"]
                axes.plot([0, at, at], [least, least, 108], color=GREY, linewidth=0.8,
                          linestyle=":")  # fmt: skip
            axes.set(xlim=(-3, 125), ylim=(100 * LEAST_SHARE, 108))
            draw_grid(axes)
        line[0].set_ylabel(f"Queries, {model}\n(% of PerDNN's, r = 100 m)")
    grid[-1][0].set_xlabel("Bytes on the backhaul (%)")
    grid[-1][1].set_xlabel("Peak uplink of a server (%)")
    handles, labels = grid[0][0].get_legend_handles_labels()
    dotted = Line2D([], [], color=GREY, **_DOTTED)
    figure.legend([*handles, dotted], [*labels, "goals"], loc="outside upper center", ncols=6)
    return save(figure, folder, "frontier")


def _different(rows: Sequence[Row], key: str) -> list[str]:
    return list(dict.fromkeys(row[key] for row in rows))
