"""Whether probabilities of visits can be believed: reliability curve and Brier score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from testbed.arrays import BoolArray, FloatArray, IntArray
from testbed.errors import ConfigurationError
from testbed.mobility.neighbourhood import NOBODY
from testbed.mobility.predictor import Candidates

#: Limits of the groups of probabilities: visits are rare, so the small ones are told apart.
BINS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Forecasts against outcomes."""

    forecast: FloatArray  # mean probability in each of g groups that has any, (g,)
    observed: FloatArray  # share of these that happened, (g,)
    count: npt.NDArray[np.int64]  # how many there were, (g,)
    # Mean squared difference of probability and outcome (Brier, Monthly Weather Review 78(1), 1950)
    brier: float
    brier_base: float  # the Brier score of always forecasting the overall share
    calibration_error: float  # mean of |forecast - observed| over the groups, weighted by count

    @property
    def brier_skill(self) -> float:
        """Share of the base's Brier score that the forecasts save; 1 is perfect, 0 none."""
        return 1.0 - self.brier / self.brier_base if self.brier_base else 0.0


def reliability(probability: FloatArray, happened: BoolArray) -> Reliability:
    """Compare m forecasts with what happened, (m,) each; ConfigurationError if there are none."""
    if not len(probability):
        raise ConfigurationError("there are no forecasts to compare")
    group = np.clip(np.searchsorted(BINS, probability, side="right") - 1, 0, len(BINS) - 2)
    count = np.bincount(group, minlength=len(BINS) - 1)
    some = count > 0
    forecast = np.bincount(group, probability, len(BINS) - 1)[some] / count[some]
    observed = np.bincount(group, happened, len(BINS) - 1)[some] / count[some]
    share = float(happened.mean())
    return Reliability(
        forecast=forecast,
        observed=observed,
        count=count[some],
        brier=float(((probability - happened) ** 2).mean()),
        brier_base=share * (1 - share),
        calibration_error=float(np.average(np.abs(forecast - observed), weights=count[some])),
    )


def visit_forecasts(
    candidates: Candidates, attached: IntArray, intervals: int
) -> tuple[FloatArray, BoolArray]:
    """Return the probabilities of visits along a path, and whether they happened, (m,) each.

    The server that someone is at is left out, and so are the last steps, whose future is unknown.
    There are candidates at each of s steps; `attached`, (s + 1,), is the server that was used then
    and at the step after. A visit counts within so many intervals, at most the candidates' horizon.
    """
    steps = len(attached) - intervals
    if steps < 1:
        return np.empty(0), np.empty(0, dtype=bool)
    ahead = np.lib.stride_tricks.sliding_window_view(attached[1:], intervals)  # (steps, intervals)
    servers = candidates.servers[:steps]
    happened = (servers[:, :, np.newaxis] == ahead[:, np.newaxis]).any(axis=2)
    counts = (servers != NOBODY) & (servers != attached[:steps, np.newaxis])
    return candidates.probability[:steps, :, intervals - 1][counts], happened[counts]
