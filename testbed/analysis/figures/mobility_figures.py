"""Figures about movement and its prediction: errors, reliability, offers, intervals, a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from testbed.analysis.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    PALETTE,
    VERMILION,
    WIDTH_IN,
    as_map,
    draw_grid,
    hexagons,
    new_figure,
    save,
    styled,
)
from testbed.arrays import FloatArray
from testbed.mobility.accuracy import Trial
from testbed.mobility.calibration import Reliability

_LINE_STYLES = ("-", (0, (5, 2)), "-.", ":", (0, (1, 1)))  # curves may lie on each other
_LEAST_ERROR_M = 0.1  # a logarithmic axis has no zero


@styled
def draw_errors(folder: Path, trials: Mapping[str, Trial], interval_s: float) -> Path:
    """Draw each predictor's distribution of errors, over all predictions and non-futile ones."""
    figure = new_figure(2.8)
    every, moved = figure.subplots(1, 2, sharey=True)
    for number, (name, trial) in enumerate(trials.items()):
        for axes, error_m in ((every, trial.error_m), (moved, trial.error_m[trial.moved])):
            if len(error_m):
                axes.ecdf(
                    np.maximum(error_m, _LEAST_ERROR_M),
                    color=PALETTE[number % len(PALETTE)],
                    linestyle=_LINE_STYLES[number % len(_LINE_STYLES)],
                    linewidth=1.3,
                    label=name,
                )
    every.set(title="All predictions", ylabel="Share of predictions")
    moved.set_title("Non-futile: just before a change of server")
    label = f"Error of the position {interval_s:g} s ahead (m)"
    for axes in (every, moved):
        axes.set(xscale="log", xlim=(_LEAST_ERROR_M, None), xlabel=label)
    draw_grid(every, moved)
    moved.legend(loc="upper left")
    return save(figure, folder, "errors")


@styled
def draw_intervals(
    folder: Path, by_length: pd.DataFrame, by_interval: pd.DataFrame, best_s: float, source: str
) -> Path:
    """Draw Fig. 6: errors by trajectory length; error and futile share by interval.

    `by_length` has interval_s, n and mae_m; `by_interval` has interval_s, mae_m, futile_share and
    benefit_to_cost, whose best is at `best_s`. `source` of the traces is for the title.
    """
    figure = Figure(figsize=(WIDTH_IN, 2.8), layout=ConstrainedLayoutEngine(wspace=0.08))
    figure.suptitle(f"Linear SVR on {source}", fontsize=9)
    lengths, errors, ratio = figure.subplots(1, 3)
    for colour, (interval_s, rows) in zip(PALETTE, by_length.groupby("interval_s"), strict=False):
        label = f"{interval_s:g} s"
        lengths.plot(rows["n"], rows["mae_m"], color=colour, marker="o", ms=3, label=label)
    lengths.set(xlabel="Trajectory length n (positions)", ylabel="Mean error (m)", ylim=(0, None))
    lengths.legend(title="Interval t", ncols=2)
    x = by_interval["interval_s"]
    errors.plot(x, by_interval["mae_m"], color=BLUE, marker="o", ms=3)
    errors.set(xlabel="Interval t (s)", ylim=(0, None))
    errors.set_ylabel("Mean error (m)", color=BLUE)
    futile = errors.twinx()
    futile.spines["right"].set_visible(True)
    futile.plot(x, 100 * by_interval["futile_share"], color=VERMILION, marker="s", ms=3)
    futile.set_ylabel("Futile predictions (%)", color=VERMILION)
    futile.set_ylim(0, 100)
    ratio.plot(x, by_interval["benefit_to_cost"], color=BLUE, marker="o", ms=3)
    ratio.axvline(best_s, color=GREY, linestyle="--", linewidth=0.8, label="greatest")
    ratio.margins(y=0.15)
    ratio.legend(loc="lower right")
    label = "Right, non-futile share of predictions"
    ratio.set(xlabel="Interval t (s)", ylabel=label, ylim=(0, None))
    draw_grid(lengths, ratio)
    return save(figure, folder, "fig6")


@styled
def draw_offers(folder: Path, curves: pd.DataFrame, oracle: tuple[float, float]) -> Path:
    """Draw hit ratio against offers of layers that were not there, a line for each way to choose.

    `curves` has a point a row, in order: choice, parameter, transfers_per_handover and hit_ratio.
    The first and last of each choice are named by their parameter. The oracle, who knows the way,
    has transfers per handover and hit ratio.
    """
    figure = new_figure(3.0, 0.62 * WIDTH_IN)
    axes = figure.subplots()
    for number, (choice, points) in enumerate(curves.groupby("choice", sort=False)):
        colour, marker = PALETTE[number % len(PALETTE)], "osD^v<"[number % 6]
        x, y = points["transfers_per_handover"], points["hit_ratio"]
        axes.plot(x, y, color=colour, marker=marker, markersize=3.5, label=str(choice))
        for end in (0, -1):
            axes.annotate(f"{points['parameter'].iloc[end]:g}", (x.iloc[end], y.iloc[end]), (3, -8),
                          textcoords="offset points", fontsize=6, color=colour)  # fmt: skip
    axes.plot(*oracle, marker="*", markersize=9, color=ORANGE, linestyle="", label="oracle")
    axes.set_xlabel("Offers of layers that were not there, per handover")
    axes.set(ylabel="Hit ratio", xlim=(0, None), ylim=(0, 1.03))
    axes.legend(loc="lower right")
    draw_grid(axes)
    return save(figure, folder, "offers")


@styled
def draw_reliability(folder: Path, found: Sequence[Reliability], interval_s: float) -> Path:
    """Draw observed shares against forecast probabilities, of visits within 1, 2, ... intervals."""
    figure = new_figure(3.5)
    curve, counts = figure.subplots(1, 2)
    curve.plot((0, 1), (0, 1), color=GREY, linewidth=0.8, linestyle="--", label="perfect")
    for number, each in enumerate(found):
        style: dict[str, Any] = {"color": PALETTE[number % len(PALETTE)], "marker": "o", "ms": 3}
        label = f"{(number + 1) * interval_s:g} s (Brier score {each.brier:.4f})"
        curve.plot(each.forecast, each.observed, label=label, **style)
        counts.plot(each.forecast, each.count, **style)
    curve.set(xlabel="Probability of a visit", ylabel="Share that was visited", aspect="equal")
    handles, labels = curve.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, title="Within")
    counts.set(xlabel="Probability of a visit", ylabel="Forecasts", yscale="log")
    draw_grid(curve, counts)
    return save(figure, folder, "reliability")


@styled
def draw_trajectories(
    folder: Path, paths: Sequence[FloatArray], cells_m: FloatArray, circumradius_m: float
) -> Path:
    """Draw Fig. 8: where people walked, on the hexagonal cells that have an edge server.

    In metres: `paths`, (m, 2) each, and the cells' centres, (s, 2).
    """
    width_m, height_m = np.ptp(cells_m, axis=0) + 2 * circumradius_m
    height_in = float(np.clip(0.8 * WIDTH_IN * height_m / width_m, 2.5, 9.0))
    figure = new_figure(height_in, 0.8 * WIDTH_IN)
    axes = figure.subplots()
    look = {"facecolor": "#F2F2F2", "edgecolor": "#B5B5B5", "linewidth": 0.4}
    axes.add_collection(hexagons(cells_m, circumradius_m, **look))
    axes.add_collection(LineCollection(paths, colors=BLUE, linewidths=0.3, alpha=0.3))
    as_map(axes)
    return save(figure, folder, "fig8")
