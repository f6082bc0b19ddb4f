"""Figures of simulations on whole data sets: Fig. 9 and Fig. 10."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from testbed.analysis.figures.style import GREY, PALETTE, SETTINGS, WIDTH_IN, draw_grid, save

Row = Mapping[str, Any]


def draw_hit_ratios(folder: Path, rows: Sequence[Row], dataset: str) -> Path:
    """Draw queries after changes of server by model and policy, with hit ratios; return the PNG.

    Args:
        folder: for PNG and SVG.
        rows: with model, policy, queries_after, hit_ratio and their deviations (`_sd`).
        dataset: whose movement it is.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH_IN * 0.75, 2.8), layout="constrained")
        axes = figure.subplots()
        width = 0.8 / len(policies)
        for place, policy in enumerate(policies):
            own = {row["model"]: row for row in rows if row["policy"] == policy}
            x = np.array([models.index(model) for model in own])
            x = x + (place - (len(policies) - 1) / 2) * width
            heights = [row["queries_after"] / 1e3 for row in own.values()]
            error = np.nan_to_num([row["queries_after_sd"] / 1e3 for row in own.values()])
            axes.bar(x, heights, width * 0.94, yerr=error, color=PALETTE[place], label=policy,
                     error_kw={"linewidth": 0.7})  # fmt: skip
            for at, height, spread, row in zip(x, heights, error, own.values(), strict=True):
                axes.annotate(f"{row['hit_ratio']:.0%}", (at, height + spread), (0, 2),
                              textcoords="offset points", ha="center", fontsize=6.5)  # fmt: skip
        axes.set_xticks(range(len(models)), models)
        axes.set(ylabel="Queries after changes\nof server (thousands)",
                 title=f"Hit ratios and queries, {dataset}")  # fmt: skip
        axes.margins(y=0.1)
        draw_grid(axes)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return save(figure, folder, "fig9")


class Published(Protocol):
    """A half of the paper's Fig. 10."""

    @property
    def migrated_mib(self) -> int:
        """What crowded servers migrate of a model."""

    @property
    def fractional_mbps(self) -> int:
        """The peak uplink then."""

    @property
    def queries_lost(self) -> float:
        """As a share."""


def draw_fractions(folder: Path, rows: Sequence[Row], published: Mapping[str, Published]) -> Path:
    """Draw peak uplink and queries lost against the fraction migrated; return the PNG.

    Args:
        folder: for PNG and SVG.
        rows: with model, fraction_mb (None: all), peak_uplink_mbps and queries_lost with their
            deviations (`_sd`).
        published: the paper's figures by model.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH_IN, 2.6), layout="constrained")
        peak, lost = figure.subplots(1, 2)
        for colour, model in zip(PALETTE, models, strict=False):
            own = [row for row in rows if row["model"] == model]
            (whole,) = (row for row in own if row["fraction_mb"] is None)
            parts = sorted(
                (row for row in own if row["fraction_mb"] is not None),
                key=lambda row: float(row["fraction_mb"]),
            )
            x = [row["fraction_mb"] for row in parts]
            peak.axhline(whole["peak_uplink_mbps"], color=colour, linewidth=0.9, linestyle=":")
            for axes, name, scale in ((peak, "peak_uplink_mbps", 1), (lost, "queries_lost", 100)):
                y = [row[name] * scale for row in parts]
                error = np.nan_to_num([row[f"{name}_sd"] * scale for row in parts])
                axes.errorbar(x, y, yerr=error, color=colour, marker="o", markersize=3,
                              linewidth=1.2, elinewidth=0.7, label=model)  # fmt: skip
            if model in published:
                paper = published[model]
                at_mb = paper.migrated_mib * 2**20 / 1e6
                peak.plot(at_mb, paper.fractional_mbps, "x", color=colour, label="_paper")
                lost.plot(at_mb, 100 * paper.queries_lost, "x", color=colour, label="_paper")
        peak.set(ylabel="Peak uplink (Mbit/s)", ylim=(0, None))
        lost.set(ylabel="Queries lost after changes\nof server (%)")
        for axes in (peak, lost):
            axes.set(xlabel="Migrated at crowded servers, at most (MB)", xlim=(0, None))
            draw_grid(axes)
        handles, labels = peak.get_legend_handles_labels()
        dotted = Line2D([], [], color=GREY, linestyle=":", linewidth=0.9)
        cross = Line2D([], [], color=GREY, marker="x", linestyle="")
        figure.legend(
            [*handles, dotted, cross],
            [*labels, "the whole model", "the paper's"],
            loc="outside upper center",
            ncols=len(handles) + 2,
        )
        return save(figure, folder, "fig10")


def draw_emulated_fractions(
    folder: Path, rows: Sequence[Row], published: Mapping[str, Published]
) -> Path:
    """Draw emulated peaks and queries against the fraction, beside the simulated; return the PNG.

    Args:
        folder: for PNG and SVG.
        rows: with model, engine, fraction_mb (None: all), crowded_uplink_mbps and queries_lost.
        published: the paper's figures by model, of whole traces instead of this window.
    """
    looks = {"emulate": (PALETTE[0], "-", "emulated"), "simulate": (GREY, "--", "simulated")}
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH_IN, 2.6), layout="constrained")
        panels = figure.subplots(1, 2)
        names = (("crowded_uplink_mbps", 1), ("queries_lost", 100))
        for engine, (colour, style, label) in looks.items():
            own = [row for row in rows if row["engine"] == engine]
            whole = [row for row in own if row["fraction_mb"] is None]
            parts = [row for row in own if row["fraction_mb"] is not None]
            for axes, (name, scale) in zip(panels, names, strict=True):
                x, y = ([row[key] for row in parts] for key in ("fraction_mb", name))
                axes.plot(x, [scale * each for each in y], color=colour, linestyle=style,
                          marker="o", markersize=3, linewidth=1.2, label=label)  # fmt: skip
                for row in whole[: name == "crowded_uplink_mbps"]:
                    axes.axhline(row[name], color=colour, linewidth=0.9, linestyle=":")
        for model in {row["model"] for row in rows} & published.keys():
            paper = published[model]
            at_mb = paper.migrated_mib * 2**20 / 1e6
            panels[0].plot(at_mb, paper.fractional_mbps, "x", color=GREY)
            panels[1].plot(at_mb, 100 * paper.queries_lost, "x", color=GREY)
        panels[0].set(ylabel="Peak uplink of the crowded\nservers (Mbit/s)", ylim=(0, None))
        panels[1].set(ylabel="Queries lost after changes\nof server (%)")
        for axes in panels:
            axes.set(xlabel="Migrated at crowded servers, at most (MB)", xlim=(0, None))
            draw_grid(axes)
        handles, labels = panels[0].get_legend_handles_labels()
        dotted = Line2D([], [], color=GREY, linestyle=":", linewidth=0.9)
        cross = Line2D([], [], color=GREY, marker="x", linestyle="")
        figure.legend(
            [*handles, dotted, cross],
            [*labels, "the whole model", "the paper's, of whole traces"],
            loc="outside upper center",
            ncols=4,
        )
        return save(figure, folder, "fig10")


def draw_frontier(folder: Path, rows: Sequence[Row], goals: Sequence[Row]) -> Path:
    """Draw queries after changes of server against bytes and peak uplink; return the PNG.

    Args:
        folder: for PNG and SVG.
        rows: with model, choice, parameter (None: a single point), and the shares of a reference
            that it has: queries_share, bytes_share, peak_share.
        goals: with queries, bytes and peak: shares that are to be reached.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    choices = list(dict.fromkeys(row["choice"] for row in rows))
    singles = {row["choice"] for row in rows if row["parameter"] is None}
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH_IN, 0.6 + 2.2 * len(models)), layout="constrained")
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
                axes.set(xlim=(-3, 125), ylim=(70, 108))
                draw_grid(axes)
            line[0].set_ylabel(f"Queries, {model}\n(% of PerDNN's, r = 100 m)")
        grid[-1][0].set_xlabel("Bytes on the backhaul (%)")
        grid[-1][1].set_xlabel("Peak uplink of a server (%)")
        handles, labels = grid[0][0].get_legend_handles_labels()
        dotted = Line2D([], [], color=GREY, linestyle=":", linewidth=0.9)
        figure.legend([*handles, dotted], [*labels, "goals"], loc="outside upper center", ncols=6)
        return save(figure, folder, "frontier")
