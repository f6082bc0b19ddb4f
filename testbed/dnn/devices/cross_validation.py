"""How far estimated layer times are off, on layers that the estimator was not fitted to."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from testbed.dnn.devices.device_file import ProfiledLayer
from testbed.dnn.devices.device_profile import estimator_of
from testbed.dnn.devices.layer_times import MIN_SAMPLES

FOLDS = 10


@dataclass(frozen=True)
class Error:
    """Of the estimated times of some layers.

    `mae_s` is the mean absolute error of a layer, `relative` the mean of |estimated / measured - 1|
    (0.1 is 10 %), `sum_relative` the error of the sum of all, above 0 where it is overestimated.
    """

    layers: int
    measured_s: float
    estimated_s: float
    mae_s: float
    relative: float

    @property
    def sum_relative(self) -> float:
        """(estimated - measured) / measured, of the sums."""
        return self.estimated_s / self.measured_s - 1


def leave_one_model_out(layers: Sequence[ProfiledLayer]) -> npt.NDArray[np.float64]:
    """Return each layer's time as estimated from the layers of all other models, (n,) seconds.

    This is what a plan for a model that was never measured relies on. NaN where the other models
    have too few layers.
    """
    return _held_out(layers, [layer.model for layer in layers])


def k_fold(
    layers: Sequence[ProfiledLayer], folds: int = FOLDS, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Return each layer's time as estimated from those of other random folds, (n,) seconds.

    Networks repeat their blocks, so that most layers have a twin in another fold: these errors are
    those of a single layer that is missing from a measured model. NaN where there are too few.
    """
    fold_of = np.random.default_rng(seed).permutation(len(layers)) % folds
    return _held_out(layers, fold_of.tolist())


def errors_by(
    groups: Iterable[str], layers: Sequence[ProfiledLayer], estimated_s: npt.NDArray[np.float64]
) -> dict[str, Error]:
    """Return the error in each group of layers; `groups` names each one's.

    Layers without an estimate (NaN) do not count, nor do groups of no others.
    """
    members: dict[str, list[int]] = {}
    for index, name in enumerate(groups):
        if not np.isnan(estimated_s[index]):
            members.setdefault(name, []).append(index)
    measured_s = np.array([layer.time_s for layer in layers])
    return {
        name: _error(measured_s[chosen], estimated_s[chosen]) for name, chosen in members.items()
    }


def _held_out(
    layers: Sequence[ProfiledLayer], fold_of: Sequence[Hashable]
) -> npt.NDArray[np.float64]:
    estimated_s = np.full(len(layers), np.nan)
    for fold in dict.fromkeys(fold_of):
        others = [layer for layer, of in zip(layers, fold_of, strict=True) if of != fold]
        if len(others) < MIN_SAMPLES:
            continue
        estimator = estimator_of(others)
        for index, layer in enumerate(layers):
            if fold_of[index] == fold:
                estimated_s[index] = estimator.estimate(layer.work)
    return estimated_s


def _error(measured_s: npt.NDArray[np.float64], estimated_s: npt.NDArray[np.float64]) -> Error:
    off = np.abs(estimated_s - measured_s)
    return Error(
        layers=len(measured_s),
        measured_s=float(measured_s.sum()),
        estimated_s=float(estimated_s.sum()),
        mae_s=float(off.mean()),
        relative=float((off / measured_s).mean()),
    )
