"""How far executions may differ and count as the same.

Layers that were executed in `float32`, on whatever device, are compared within the tolerance of
`torch.testing.assert_close`. Its absolute part is meant for numbers around 1: it is taken of a
tensor's greatest magnitude where that is more. The processors' results are within 1.5e-6 of that of
`float64` ones over all layers of the three models.

In `bfloat16` each layer rounds to eight bits, and models have hundreds. Over 75 models (the three
with 25 seeds each), every layer rounded, an output was off by up to 6 % of its tensor's greatest
magnitude beyond the 1.6 % of itself that PyTorch allows, and its cosine with the true one was
0.9978 at least; all but one had the same greatest answer (`benchmarks/execution.py --precision
bfloat16`). Somewhat more is allowed.
"""

from __future__ import annotations

from typing import NamedTuple

from testbed.settings.engines import Precision


class Tolerance(NamedTuple):
    """What a number may differ by: shares of itself and of its tensor's greatest magnitude, summed.

    The greatest counts as `least_greatest` where it is less. `cosine` is the least that a whole
    tensor may have with the true one.
    """

    relative: float
    of_greatest: float
    least_greatest: float
    cosine: float | None = None

    def described(self) -> str:
        """Return it for people."""
        text = f"{self.relative:g} of a number and {self.of_greatest:g} of its tensor's greatest"
        text += f" ({self.least_greatest:g} where that is less)"
        return text if self.cosine is None else f"{text}; cosine at least {self.cosine:g}"


TOLERANCES: dict[Precision, Tolerance] = {
    "float32": Tolerance(1.3e-6, 1e-5, 1.0),
    "bfloat16": Tolerance(1.6e-2, 0.1, 1e-4, 0.995),
}
