"""Estimates an idle device's time for a layer that was never measured on it.

For each kind of layer: time = a + b * multiply-adds + c * bytes moved, with a, b, c >= 0 (more work
never takes less time), by least squares of the relative error, as times span four orders of
magnitude. That alone would estimate too little in sum; the result is scaled to the sum of the
measured times, since plans are made of sums. Bytes moved are those of inputs, weights and output. A
kind with fewer measured layers than `MIN_SAMPLES` joins its class: those that compute (several
multiply-adds an output byte) or those that move data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from testbed.dnn.graph import LayerGraph

MIN_SAMPLES = 10
COMPUTE_BOUND = 4.0  # multiply-adds a byte of output from which a layer counts as computing


class LayerWork(msgspec.Struct, frozen=True):
    """What a layer's time depends on; `input_bytes` are those of all tensors that it reads.

    `group` is the number of groups of a convolution's channels, 1 for all other layers.
    """

    kind: str
    multiply_adds: int
    input_bytes: int
    weight_bytes: int
    output_bytes: int
    group: int = 1


class LayerTimeEstimator:
    """Times of layers by kind, multiply-adds and bytes, fitted to measured layers.

    Raises ValueError if these are fewer than `MIN_SAMPLES`.
    """

    def __init__(self, works: Sequence[LayerWork], times_s: Sequence[float]) -> None:
        if len(works) < MIN_SAMPLES:
            raise ValueError(f"{len(works)} measured layers, at least {MIN_SAMPLES} are needed")
        groups: dict[str, list[int]] = defaultdict(list)
        for index, work in enumerate(works):
            for name in _groups(work):
                groups[name].append(index)
        features = np.array([_features(work) for work in works])
        times = np.array(times_s, dtype=np.float64)
        self._coefficients = {
            name: _fit(features[members], times[members])
            for name, members in groups.items()
            if len(members) >= MIN_SAMPLES
        }

    def estimate(self, work: LayerWork) -> float:
        """Return the seconds that a layer takes."""
        name = next(name for name in _groups(work) if name in self._coefficients)
        return float(_features(work) @ self._coefficients[name])


def work_of(graph: LayerGraph, index: int) -> LayerWork:
    """Return what layer `index` of a graph does."""
    layer = graph.layers[index]
    group = layer.hyperparameters.get("group", 1)
    return LayerWork(
        kind=layer.kind,
        multiply_adds=layer.multiply_adds,
        input_bytes=graph.input_bytes_of(index),
        weight_bytes=layer.weight_bytes,
        output_bytes=layer.output_bytes,
        group=group if isinstance(group, int) else 1,
    )


def _groups(work: LayerWork) -> tuple[str, str, str]:
    """The groups of layers that a layer belongs to, the narrowest first.

    Convolutions of a few channels at a time (MobileNet's of single ones) behave unlike others.
    """
    computes = work.multiply_adds >= COMPUTE_BOUND * work.output_bytes
    kind = f"grouped {work.kind}" if work.group > 1 else work.kind
    return f"kind {kind}", "class compute" if computes else "class move", "all"


def _features(work: LayerWork) -> npt.NDArray[np.float64]:
    moved = work.input_bytes + work.weight_bytes + work.output_bytes
    return np.array([1.0, float(work.multiply_adds), float(moved)])


def _fit(
    features: npt.NDArray[np.float64], times_s: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Coefficients (3,) of least relative error with the right sum."""
    rows = features / times_s[:, None]
    magnitude = rows.max(axis=0)
    magnitude[magnitude == 0] = 1.0  # no layer of the group has multiply-adds, or moves bytes
    solution, _ = nnls(rows / magnitude, np.ones(len(rows)))
    coefficients: npt.NDArray[np.float64] = solution / magnitude
    return coefficients * (times_s.sum() / (features @ coefficients).sum())
