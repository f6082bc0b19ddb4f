"""How long each layer takes on a device: published where it was measured, estimated elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from testbed.dnn.estimator import LayerTimeEstimator, Sample
from testbed.dnn.graph import Layer, LayerGraph
from testbed.dnn.published import MODELS, published_graph, published_times
from testbed.errors import ConfigurationError, unknown_name


@dataclass(frozen=True)
class DeviceProfile:
    """A device and the column of the published files that holds its times."""

    name: str
    description: str
    column: str

    def layer_times(self, graph: LayerGraph) -> npt.NDArray[np.float64]:
        """Return the seconds of each layer on this device when idle, (n,).

        A layer of a published model has its measured time, as long as it is the same layer (sizes
        change with another input shape); all others are estimated.
        """
        measured, published = self._measured(graph.model)
        return np.array(
            [
                measured[layer.name]
                if layer.name in measured and _same_work(layer, published[layer.name])
                else self.estimator.estimate(layer, graph.input_bytes_of(index))
                for index, layer in enumerate(graph.layers)
            ]
        )

    @cached_property
    def estimator(self) -> LayerTimeEstimator:
        """The estimator fitted to all layers that were measured on this device."""
        return LayerTimeEstimator([s for model in MODELS for s in self.samples(model)])

    def samples(self, model: str) -> list[Sample]:
        """The measured layers of one published model."""
        graph, times = published_graph(model), published_times(model, self.column)
        return [
            Sample(layer, graph.input_bytes_of(index), times[layer.name])
            for index, layer in enumerate(graph.layers)
            if layer.name in times
        ]

    def estimation_error(self) -> dict[str, EstimationError]:
        """Return, for each measured model, the error of an estimator that never saw that model."""
        by_model = {model: self.samples(model) for model in MODELS}
        measured = {model: samples for model, samples in by_model.items() if samples}
        errors = {}
        for model, samples in measured.items():
            others = [s for other in measured if other != model for s in measured[other]]
            estimator = LayerTimeEstimator(others)
            found = np.array([estimator.estimate(s.layer, s.input_bytes) for s in samples])
            actual = np.array([s.seconds for s in samples])
            errors[model] = EstimationError(
                mean_absolute_s=float(np.abs(found - actual).mean()),
                total_s=float(actual.sum()),
                estimated_total_s=float(found.sum()),
            )
        return errors

    def _measured(self, model: str) -> tuple[dict[str, float], dict[str, Layer]]:
        if model not in MODELS:
            return {}, {}
        layers = {layer.name: layer for layer in published_graph(model).layers}
        return published_times(model, self.column), layers


@dataclass(frozen=True)
class EstimationError:
    """Cross-validated error on one model: of a layer on average, and of the sum of all layers."""

    mean_absolute_s: float
    total_s: float
    estimated_total_s: float


DEVICES = {
    "odroid-xu4": DeviceProfile("odroid-xu4", "ODROID XU4, Caffe on the CPU", "client_ms"),
    "titan-xp": DeviceProfile("titan-xp", "x86 server with a Titan Xp, idle", "server_ms"),
}


def device_profile(name: str) -> DeviceProfile:
    """Return one of `DEVICES`; raises ConfigurationError if there is none of that name."""
    if name not in DEVICES:
        raise ConfigurationError(unknown_name("device", name, DEVICES))
    return DEVICES[name]


def _same_work(layer: Layer, published: Layer) -> bool:
    return (layer.kind, layer.weight_bytes, layer.output_bytes) == (
        published.kind,
        published.weight_bytes,
        published.output_bytes,
    )
