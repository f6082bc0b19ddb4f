"""Made-up people and servers, and predictors that say what they are told to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from testbed.arrays import FloatArray
from testbed.mobility.positions import PositionPredictor

SPACING_M = 80.0  # between servers: somewhat less than a hexagonal cell's width


def straight(points: int, start: Sequence[float], step: Sequence[float]) -> FloatArray:
    """Return equal steps from a start, (points, 2)."""
    return np.array(start) + np.arange(points)[:, np.newaxis] * np.array(step)


def on_line(*x_m: float) -> FloatArray:
    """Return positions on the x axis, (n, 2)."""
    return np.array([(x, 0.0) for x in x_m])


def steady_walks(people: int, points: int, seed: int) -> list[FloatArray]:
    """Return people who each go straight on, with steps of up to 20 m."""
    rng = np.random.default_rng(seed)
    return [straight(points, *rng.uniform(-20, 20, (2, 2))) for _ in range(people)]


def servers_in_a_square(side: int, spacing_m: float = SPACING_M) -> FloatArray:
    """Return side * side servers around the origin."""
    line = spacing_m * (np.arange(side) - (side - 1) / 2)
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def random_walks(people: int, points: int, seed: int, step_m: float = 25.0) -> list[FloatArray]:
    """Return people who wander about the origin, and stand still now and then."""
    rng = np.random.default_rng(seed)
    walks = []
    for _ in range(people):
        steps = rng.normal(0.0, step_m, (points, 2)) * (rng.random((points, 1)) < 0.6)
        walks.append(rng.uniform(-100, 100, 2) + steps.cumsum(axis=0))
    return walks


def commuters(
    people: int, points: int, seed: int, ends: int = 5, turning: float = 0.2
) -> list[FloatArray]:
    """Return people who walk to and fro between servers 0, 1, ... on a line.

    Each step leads to the next server, or after one visit in five (`turning`) back to the last.
    """
    rng = np.random.default_rng(seed)
    walks = []
    for _ in range(people):
        place, direction, visited = int(rng.integers(ends)), 1, []
        for _ in range(points):
            visited.append(place)
            if rng.random() < turning:
                direction = -direction
            if not 0 <= place + direction < ends:
                direction = -direction
            place += direction
        noise = rng.normal(0.0, 3.0, (points, 2))
        walks.append(on_line(*(SPACING_M * each for each in visited)) + noise)
    return walks


class Told(PositionPredictor):
    """Predicts the positions that it is told, in the order of its questions.

    Args:
        predicted_m: (m, 2).
    """

    def __init__(self, predicted_m: npt.ArrayLike) -> None:
        super().__init__(n=1)
        self._predicted_m = np.array(predicted_m, dtype=float)

    def fit(self, paths: Sequence[FloatArray], servers_m: FloatArray) -> None:
        """Learn where the servers are from people who stay."""
        told, self._predicted_m = self._predicted_m, np.zeros((1, 2))
        super().fit([np.zeros((2, 2))], servers_m)
        self._predicted_m = told

    def predict(self, recent: FloatArray) -> FloatArray:
        """Return what was told, whatever the question."""
        assert len(recent) == len(self._predicted_m)
        return self._predicted_m
