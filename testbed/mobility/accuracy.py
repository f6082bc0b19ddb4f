"""How good predictions of movement are, as Table III counts (section IV.B.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from testbed.errors import ConfigurationError
from testbed.mobility.predictors import FloatArray


@dataclass(frozen=True)
class Accuracy:
    """Shares lie between 0 and 1.

    Args:
        top1: share of the non-futile predictions whose nearest server was visited next; NaN if
            all were futile.
        top2: the same for one of the two nearest servers.
        mae_m: mean Euclidean distance of predicted and true position over all predictions (the
            paper's "MAE").
        non_futile_share: share of predictions made just before a change of server.
        n_test: number of predictions.
    """

    top1: float
    top2: float
    mae_m: float
    non_futile_share: float
    n_test: int

    @property
    def futile_share(self) -> float:
        """Share of predictions for people who stayed with their server."""
        return 1.0 - self.non_futile_share


def measure_accuracy(
    predicted_m: FloatArray, current_m: FloatArray, actual_m: FloatArray, servers_m: FloatArray
) -> Accuracy:
    """Compare m predictions with what happened.

    Args:
        predicted_m: where the predictor expected people, (m, 2).
        current_m: where they were when it was asked, (m, 2).
        actual_m: where they were one interval later, (m, 2).
        servers_m: where the edge servers stand, (s, 2); people use the nearest.

    Raises:
        ConfigurationError: there is nothing to compare.
    """
    if not len(predicted_m) or not len(servers_m):
        raise ConfigurationError(
            f"accuracy needs predictions and servers, got {len(predicted_m)} predictions"
            f" and {len(servers_m)} servers"
        )
    servers = KDTree(servers_m)
    current, visited = servers.query(current_m)[1], servers.query(actual_m)[1]
    moved = current != visited
    closest = servers.query(predicted_m[moved], k=[1, 2])[1]  # (non-futile, 2)
    correct = closest == visited[moved, np.newaxis]
    error_m = np.hypot(*(predicted_m - actual_m).T)
    return Accuracy(
        top1=float(correct[:, 0].mean()) if moved.any() else math.nan,
        top2=float(correct.any(axis=1).mean()) if moved.any() else math.nan,
        mae_m=float(error_m.mean()),
        non_futile_share=float(moved.mean()),
        n_test=len(predicted_m),
    )
