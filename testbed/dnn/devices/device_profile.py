"""How long each layer takes on a device: as in its profile where it was measured, else estimated.

Profiles are the paper's two devices (`profiles/devices/`), those that `testbed profile` measured,
and any file of the format in `device_file`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from operator import attrgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from testbed.dnn.devices.device_file import ProfiledLayer, read_profile
from testbed.dnn.devices.layer_times import MIN_SAMPLES, LayerTimeEstimator, work_of
from testbed.dnn.graph import LayerGraph
from testbed.errors import ConfigurationError, unknown_name
from testbed.repository import RESULTS

DEVICES = ("odroid-xu4", "titan-xp")  # the paper's client and server

# Metadata that say how the layers of a profile were measured; one profile has one of each
CONDITIONS = ("device", "framework", "processor", "threads")

MEASURED_FOLDER = RESULTS / "devices"
_SAME = attrgetter("kind", "weight_bytes", "output_bytes")  # in layers that do the same work
_PUBLISHED_FOLDER = Path(__file__).parents[1] / "profiles" / "devices"


@dataclass(frozen=True)
class DeviceProfile:
    """A device: what is known of it, and the times of the layers that were measured on it."""

    metadata: dict[str, str]
    layers: tuple[ProfiledLayer, ...]

    @property
    def name(self) -> str:
        """What the device is called."""
        return self.metadata["device"]

    @property
    def models(self) -> dict[str, tuple[ProfiledLayer, ...]]:
        """The measured layers of each model."""
        found: dict[str, list[ProfiledLayer]] = {}
        for layer in self.layers:
            found.setdefault(layer.model, []).append(layer)
        return {model: tuple(layers) for model, layers in found.items()}

    def layer_times(self, graph: LayerGraph) -> npt.NDArray[np.float64]:
        """Return the seconds of each layer on this device when idle, (n,).

        A layer that was measured has its measured time, as long as it does the same work (sizes
        change with another input shape); all others are estimated. Raises ConfigurationError if too
        few were measured to estimate another's time from them.
        """
        known = enumerate(self._measured(graph))
        return np.array([each.time_s if each else self._estimate(graph, i) for i, each in known])

    def estimated(self, graph: LayerGraph) -> tuple[str, ...]:
        """Return the layers whose times are estimated, not measured."""
        pairs = zip(graph.layers, self._measured(graph), strict=True)
        return tuple(layer.name for layer, known in pairs if known is None)

    def _measured(self, graph: LayerGraph) -> list[ProfiledLayer | None]:
        """Each layer's measurement, where there is one of the same work."""
        measured = {layer.layer: layer for layer in self.models.get(graph.model, ())}
        found = [measured.get(layer.name) for layer in graph.layers]
        return [
            known if known and _SAME(work_of(graph, index)) == _SAME(known.work) else None
            for index, known in enumerate(found)
        ]

    def _estimate(self, graph: LayerGraph, index: int) -> float:
        if len(self.layers) < MIN_SAMPLES:
            layer = graph.layers[index].name
            raise ConfigurationError(
                f"device {self.name!r}: the time of layer {layer!r} of model {graph.model!r} was "
                f"not measured there and cannot be estimated from {len(self.layers)} measured "
                f"layers (at least {MIN_SAMPLES} are needed); measure the model with "
                "'testbed profile'"
            )
        return self._estimator.estimate(work_of(graph, index))

    @cached_property
    def _estimator(self) -> LayerTimeEstimator:
        return estimator_of(self.layers)


def estimator_of(layers: Sequence[ProfiledLayer]) -> LayerTimeEstimator:
    """Return an estimator fitted to measured layers, at least `MIN_SAMPLES` of them."""
    return LayerTimeEstimator([layer.work for layer in layers], [layer.time_s for layer in layers])


def device_profile(name: str) -> DeviceProfile:
    """Return a device's profile: of `DEVICES`, measured by `testbed profile`, or a file `FILE.csv`.

    Raises ConfigurationError if no device has that name, or its file is not a profile.
    """
    if name in DEVICES:
        return _published(name)
    if name.endswith(".csv"):
        return DeviceProfile(*read_profile(Path(name)))
    path = measured_path(name)
    if path is None or not path.exists():
        known = {*DEVICES, *(path.stem for path in MEASURED_FOLDER.glob("*.csv"))}
        raise ConfigurationError(f"{unknown_name('device', name, known)}, or a profile FILE.csv")
    return DeviceProfile(*read_profile(path))


def measured_path(name: str) -> Path | None:
    """Return where the profile of a measured device lies, None if it cannot be a device's name."""
    valid = (
        re.fullmatch(r"\w[\w.-]{0,99}", name) and name not in DEVICES and not name.endswith(".csv")
    )
    return MEASURED_FOLDER / f"{name}.csv" if valid else None


def with_measured(
    path: Path, metadata: Mapping[str, str], layers: Sequence[ProfiledLayer]
) -> DeviceProfile:
    """Return a file's profile with newly measured layers in place of those of the same models.

    Raises ConfigurationError if the file is no profile, or is one of another device or of this one
    under other `CONDITIONS`.
    """
    kept: tuple[ProfiledLayer, ...] = ()
    if path.exists():
        known, kept = read_profile(path)
        for key in CONDITIONS:
            if known.get(key) != metadata.get(key):
                raise ConfigurationError(
                    f"{path}: its {key} is {known.get(key)!r}, not {metadata.get(key)!r}, so that "
                    f"times would not go together: give another --device or --out, or remove it"
                )
    replaced = {layer.model for layer in layers}
    kept = tuple(layer for layer in kept if layer.model not in replaced)
    return DeviceProfile(dict(metadata), (*kept, *layers))


@cache
def _published(name: str) -> DeviceProfile:
    return DeviceProfile(*read_profile(_PUBLISHED_FOLDER / f"{name}.csv"))
