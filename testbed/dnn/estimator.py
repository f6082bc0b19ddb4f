"""Estimates an idle device's time for a layer that was never measured on it.

For each kind of layer: time = a + b * multiply-adds + c * bytes moved, with a, b, c >= 0 (more work
never takes less time), by least squares of the relative error, as times span four orders of
magnitude. Bytes moved are those of inputs, weights and output. A kind with fewer measured layers
than `MIN_SAMPLES` joins its class: those that compute (several multiply-adds an output byte) or
those that move data.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from testbed.dnn.graph import Layer

MIN_SAMPLES = 10
COMPUTE_BOUND = 4.0  # multiply-adds a byte of output from which a layer counts as computing


@dataclass(frozen=True)
class Sample:
    """A measured layer; `input_bytes` are those of all tensors that it reads."""

    layer: Layer
    input_bytes: int
    seconds: float


class LayerTimeEstimator:
    """Times of layers by type, multiply-adds and bytes, fitted to measured layers."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        groups: dict[str, list[Sample]] = defaultdict(list)
        for sample in samples:
            groups[_group(sample.layer)].append(sample)
            groups[_fallback(sample.layer)].append(sample)
        groups["any"] = list(samples)
        self._coefficients = {
            name: _fit(group) for name, group in groups.items() if len(group) >= MIN_SAMPLES
        }

    def estimate(self, layer: Layer, input_bytes: int) -> float:
        """Return the seconds that a layer takes which reads tensors of `input_bytes`."""
        names = (_group(layer), _fallback(layer), "any")
        found = next(self._coefficients[name] for name in names if name in self._coefficients)
        return float(_features(layer, input_bytes) @ found)


def _group(layer: Layer) -> str:
    """Layer type; a convolution of single channels behaves unlike others."""
    depthwise = layer.kind == "Convolution" and layer.hyperparameters.get("group", 1) != 1
    return "depthwise Convolution" if depthwise else layer.kind


def _fallback(layer: Layer) -> str:
    computes = layer.multiply_adds >= COMPUTE_BOUND * layer.output_bytes
    return "compute-bound" if computes else "memory-bound"


def _features(layer: Layer, input_bytes: int) -> npt.NDArray[np.float64]:
    return np.array(
        [
            1.0,
            float(layer.multiply_adds),
            float(input_bytes + layer.weight_bytes + layer.output_bytes),
        ]
    )


def _fit(samples: Sequence[Sample]) -> npt.NDArray[np.float64]:
    """Coefficients (3,) of least relative error; columns are scaled to be of one magnitude."""
    rows = np.array([_features(s.layer, s.input_bytes) / s.seconds for s in samples])
    scale = rows.max(axis=0)
    solution, _ = nnls(rows / scale, np.ones(len(samples)))
    coefficients: npt.NDArray[np.float64] = solution / scale
    return coefficients
