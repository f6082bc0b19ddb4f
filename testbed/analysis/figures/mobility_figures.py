"""Figures about movement and its prediction: errors, reliability, offers, intervals, a map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import RegularPolygon

from testbed.analysis.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    PALETTE,
    SETTINGS,
    VERMILION,
    WIDTH_IN,
    draw_grid,
    save,
)
from testbed.arrays import FloatArray
from testbed.mobility.accuracy import Trial
from testbed.mobility.calibration import Reliability

_LINE_STYLES = ("-", (0, (5, 2)), "-.", ":", (0, (1, 1)))  # curves may lie on each other
_LEAST_ERROR_M = 0.1  # a logarithmic axis has no zero


def draw_errors(folder: Path, trials: Mapping[str, Trial], interval_s: float) -> Path:
    """Draw each predictor's distribution of errors, over all predictions and non-futile ones."""
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH_IN, 2.8), layout="constrained")
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
        every.set_title("All predictions")
        moved.set_title("Non-futile: just before a change of server")
        every.set_ylabel("Share of predictions")
        for axes in (every, moved):
            axes.set(
                xscale="log",
                xlim=(_LEAST_ERROR_M, None),
                xlabel=f"Error of the position {interval_s:g} s ahead (m)",
            )
            draw_grid(axes)
        moved.legend(loc="upper left")
        return save(figure, folder, "errors")


def draw_intervals(
    folder: Path, by_length: pd.DataFrame, by_interval: pd.DataFrame, best_s: float, source: str
) -> Path:
    """Draw Fig. 6: errors by trajectory length; error and futile share by interval.

    Args:
        folder: for fig6.png and .svg.
        by_length: `interval_s`, `n`, `mae_m`.
        by_interval: `interval_s`, `mae_m`, `futile_share`, `benefit_to_cost`.
        best_s: the interval of the best ratio.
        source: of the traces, for the title.
    """
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH_IN, 2.8), layout=ConstrainedLayoutEngine(wspace=0.08))
        figure.suptitle(f"Linear SVR on {source}", fontsize=9)
        lengths, errors, ratio = figure.subplots(1, 3)
        for number, (interval_s, rows) in enumerate(by_length.groupby("interval_s")):
            lengths.plot(
                rows["n"],
                rows["mae_m"],
                marker="o",
                markersize=3,
                color=PALETTE[number],
                label=f"{interval_s:g} s",
            )
        lengths.set(
            xlabel="Trajectory length n (positions)", ylabel="Mean error (m)", ylim=(0, None)
        )
        lengths.legend(title="Interval t", ncols=2)
        draw_grid(lengths)
        errors.plot(by_interval["interval_s"], by_interval["mae_m"], color=BLUE, marker="o", ms=3)
        errors.set_xlabel("Interval t (s)")
        errors.set_ylabel("Mean error (m)", color=BLUE)
        errors.set_ylim(bottom=0)
        futile = errors.twinx()
        futile.spines["right"].set_visible(True)
        futile.plot(
            by_interval["interval_s"],
            100 * by_interval["futile_share"],
            color=VERMILION,
            marker="s",
            ms=3,
        )
        futile.set_ylabel("Futile predictions (%)", color=VERMILION)
        futile.set_ylim(0, 100)
        ratio.plot(
            by_interval["interval_s"], by_interval["benefit_to_cost"], color=BLUE, marker="o", ms=3
        )
        ratio.axvline(best_s, color=GREY, linestyle="--", linewidth=0.8, label="greatest")
        ratio.margins(y=0.15)
        ratio.legend(loc="lower right")
        ratio.set(
            xlabel="Interval t (s)", ylabel="Right, non-futile share of predictions", ylim=(0, None)
        )
        draw_grid(ratio)
        return save(figure, folder, "fig6")


def draw_offers(folder: Path, curves: pd.DataFrame, oracle: tuple[float, float]) -> Path:
    """Draw hit ratio against offers of layers that were not there, a line for each way to choose.

    Args:
        folder: for offers.png and .svg.
        curves: `choice`, `parameter`, `transfers_per_handover`, `hit_ratio`; a point a row, in
            order. The first and last of each are named by their parameter.
        oracle: transfers per handover and hit ratio of one who knows the way.
    """
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(0.62 * WIDTH_IN, 3.0), layout="constrained")
        axes = figure.subplots()
        for number, (choice, points) in enumerate(curves.groupby("choice", sort=False)):
            axes.plot(
                points["transfers_per_handover"],
                points["hit_ratio"],
                marker="osD^v<"[number % 6],
                markersize=3.5,
                color=PALETTE[number % len(PALETTE)],
                label=str(choice),
            )
            for point in (points.iloc[0], points.iloc[-1]):
                axes.annotate(
                    f"{point['parameter']:g}",
                    (point["transfers_per_handover"], point["hit_ratio"]),
                    xytext=(3, -8),
                    textcoords="offset points",
                    fontsize=6,
                    color=PALETTE[number % len(PALETTE)],
                )
        axes.plot(*oracle, marker="*", markersize=9, color=ORANGE, linestyle="", label="oracle")
        axes.set(
            xlabel="Offers of layers that were not there, per handover",
            ylabel="Hit ratio",
            xlim=(0, None),
            ylim=(0, 1.03),
        )
        axes.legend(loc="lower right")
        draw_grid(axes)
        return save(figure, folder, "offers")


def draw_reliability(folder: Path, found: Sequence[Reliability], interval_s: float) -> Path:
    """Draw observed shares against forecast probabilities; one line for each horizon.

    Args:
        folder: for reliability.png and .svg.
        found: of visits within 1, 2, ... intervals.
        interval_s: length of an interval.
    """
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH_IN, 3.5), layout="constrained")
        curve, counts = figure.subplots(1, 2)
        curve.plot((0, 1), (0, 1), color=GREY, linewidth=0.8, linestyle="--", label="perfect")
        for number, each in enumerate(found):
            style = {"color": PALETTE[number % len(PALETTE)], "marker": "o", "markersize": 3}
            label = f"{(number + 1) * interval_s:g} s (Brier score {each.brier:.4f})"
            curve.plot(each.forecast, each.observed, label=label, **style)
            counts.plot(each.forecast, each.count, **style)
        curve.set(xlabel="Probability of a visit", ylabel="Share that was visited", aspect="equal")
        figure.legend(
            *curve.get_legend_handles_labels(), loc="outside upper center", ncols=3, title="Within"
        )
        counts.set(xlabel="Probability of a visit", ylabel="Forecasts", yscale="log")
        draw_grid(curve)
        draw_grid(counts)
        return save(figure, folder, "reliability")


def draw_trajectories(
    folder: Path, paths: Sequence[FloatArray], cells_m: FloatArray, circumradius_m: float
) -> Path:
    """Draw Fig. 8: where people walked, on the hexagonal cells that have an edge server.

    Args:
        folder: for fig8.png and .svg.
        paths: in metres, (m, 2) each.
        cells_m: centres of the cells, (s, 2).
        circumradius_m: of each cell.
    """
    with matplotlib.rc_context(SETTINGS):
        width_m, height_m = np.ptp(cells_m, axis=0) + 2 * circumradius_m
        height_in = float(np.clip(0.8 * WIDTH_IN * height_m / width_m, 2.5, 9.0))
        figure = Figure(figsize=(0.8 * WIDTH_IN, height_in), layout="constrained")
        axes = figure.subplots()
        # A pointed top, as on the grid that the access points stand on
        hexagons = [RegularPolygon(centre, 6, radius=circumradius_m) for centre in cells_m]
        axes.add_collection(
            PatchCollection(hexagons, facecolor="#F2F2F2", edgecolor="#B5B5B5", linewidth=0.4)
        )
        axes.add_collection(LineCollection(paths, colors=BLUE, linewidths=0.3, alpha=0.3))
        axes.set_aspect("equal")
        axes.autoscale_view()
        axes.set(xlabel="x (m)", ylabel="y (m)")
        return save(figure, folder, "fig8")
