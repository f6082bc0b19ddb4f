"""How good predictions of movement are, as Table III counts (section IV.B.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from testbed.arrays import FloatArray, IntArray
from testbed.errors import ConfigurationError
from testbed.mobility.neighbourhood import ServerIndex
from testbed.mobility.predictor import Predictor, histories

SERVICE_RANGE_M = 50.0  # of a Wi-Fi access point (section IV.B.1)


@dataclass(frozen=True)
class Accuracy:
    """Shares lie between 0 and 1."""

    # Of the non-futile predictions those whose first server was visited next; NaN if there are
    # none. A position's servers are those nearest to it
    top1: float
    top2: float  # the same for one of the first two servers
    mae_m: float  # mean Euclidean distance of predicted and true position (the paper's "MAE")
    non_futile_share: float  # predictions made just before a change of server
    n_test: int  # number of predictions

    @property
    def futile_share(self) -> float:
        """Share of predictions for people who stayed with their server."""
        return 1.0 - self.non_futile_share


@dataclass(frozen=True, eq=False)
class Trial:
    """Predictions at every step of some paths, compared with what happened."""

    error_m: FloatArray  # distance of predicted and true position, (m,)
    moved: npt.NDArray[np.bool_]  # whether the server changed, (m,): the prediction was not futile
    ranked: IntArray  # the first servers of the candidates, most probable first, (m, 2)
    visited: IntArray  # the server that was used next, (m,)
    distance_m: FloatArray  # from the predicted position to that server, (m,)

    @property
    def in_range(self) -> npt.NDArray[np.bool_]:
        """Whether the predicted position lies in the service range of the next server, (m,)."""
        return self.distance_m <= SERVICE_RANGE_M

    def accuracy(self) -> Accuracy:
        """Return the figures of Table III."""
        correct = (self.ranked == self.visited[:, np.newaxis])[self.moved]  # (non-futile, 2)
        return Accuracy(
            top1=float(correct[:, 0].mean()) if len(correct) else math.nan,
            top2=float(correct.any(axis=1).mean()) if len(correct) else math.nan,
            mae_m=float(self.error_m.mean()),
            non_futile_share=float(self.moved.mean()),
            n_test=len(self.moved),
        )


def try_out(predictor: Predictor, paths: Sequence[FloatArray], servers_m: FloatArray) -> Trial:
    """Ask a predictor, fitted on other paths, at every step of these where people will be.

    Paths are unbroken, in metres, (m, 2) each; people use the nearest of the edge servers at
    `servers_m`, (s, 2), with which it was fitted. Raises ConfigurationError if no path is long
    enough.
    """
    n, servers = predictor.n, ServerIndex(servers_m)
    long_enough = [path for path in paths if len(path) > n]
    if not long_enough:
        raise ConfigurationError(f"none of {len(paths)} test paths has more than {n} positions")
    recent = np.concatenate([histories(path, n, predictor.memory)[:-1] for path in long_enough])
    actual_m = np.concatenate([path[n:] for path in long_enough])
    visited = servers.attached(actual_m)
    predicted_m = predictor.predict(recent)
    return Trial(
        error_m=np.hypot(*(predicted_m - actual_m).T),
        moved=servers.attached(recent[:, -1]) != visited,
        ranked=predictor.candidates(recent).ranked(2),
        visited=visited,
        distance_m=np.hypot(*(predicted_m - servers_m[visited]).T),
    )
