"""Profiles of a device that does not exist, whose times are known functions of the work."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from testbed.dnn.devices.device_file import ProfiledLayer

METADATA = {"device": "toy", "framework": "none", "source": "made up for a test"}


def planted_s(multiply_adds: int, moved_bytes: int) -> float:
    """What the toy takes for a convolution."""
    return 20e-6 + 3e-12 * multiply_adds + 0.5e-9 * moved_bytes


def toy_layers(
    model: str,
    count: int = 30,
    kind: str = "Convolution",
    seed: int = 0,
    time_s: Callable[[int, int], float] = planted_s,
) -> tuple[ProfiledLayer, ...]:
    """Layers of random sizes that take what `time_s` says of multiply-adds and bytes moved."""
    rng = np.random.default_rng(seed)
    layers = []
    for index in range(count):
        reads, weights, output = (int(size) for size in rng.integers(1000, 1_000_000, 3))
        multiply_adds = output * int(rng.integers(10, 1000))
        layers.append(
            ProfiledLayer(
                model=model,
                layer=f"layer{index}",
                kind=kind,
                multiply_adds=multiply_adds,
                input_bytes=reads,
                weight_bytes=weights,
                output_bytes=output,
                time_s=time_s(multiply_adds, reads + weights + output),
            )
        )
    return tuple(layers)
