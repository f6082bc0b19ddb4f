"""Fig. 4: errors of execution-time estimators by load, and what the forest looks at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from testbed.analysis.figures.style import BLUE, GREY, PALETTE, draw_grid, new_figure, save, styled


@styled
def draw_estimators(
    folder: Path, mae: pd.DataFrame, importances: pd.DataFrame, load: Sequence[str], server: str
) -> Path:
    """Draw bars by number of clients, and the importances; return the PNG's path.

    `mae` are mean absolute errors in microseconds, estimators by columns, clients by rows;
    `importances` have `feature` and `impurity`; `load` are the features that describe the load;
    `server` is what the measurements are of, for the title.
    """
    figure = new_figure(2.7)
    errors, features = figure.subplots(1, 2, width_ratios=(5, 3))
    _errors(errors, mae)
    _importances(features, importances, load)
    figure.suptitle(f"Estimated times of convolution layers, {server} server", fontsize=9)
    return save(figure, folder, "fig4_estimators")


def _errors(axes: Axes, mae: pd.DataFrame) -> None:
    places, width = np.arange(len(mae)), 0.8 / len(mae.columns)
    for number, (name, values) in enumerate(mae.items()):
        offset = (number - (len(mae.columns) - 1) / 2) * width
        axes.bar(places + offset, values, width, color=PALETTE[number], label=str(name))
    axes.set_xticks(places, [str(clients) for clients in mae.index])
    axes.set(xlabel="Clients", ylabel="Mean absolute error (µs)")
    axes.legend(loc="upper left")
    axes.margins(y=0.12)
    draw_grid(axes)


def _importances(axes: Axes, importances: pd.DataFrame, load: Sequence[str]) -> None:
    shown = importances.sort_values("impurity")
    names = [name.removesuffix("_c").replace("_", " ") for name in shown["feature"]]
    colours = [BLUE if feature in load else GREY for feature in shown["feature"]]
    axes.barh(names, shown["impurity"], color=colours)
    axes.set_xlabel("Importance in the forest")
    kinds = {"load": BLUE, "hyperparameter": GREY}
    axes.legend(handles=[Patch(color=colour, label=kind) for kind, colour in kinds.items()])
