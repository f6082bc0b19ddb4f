"""The rectangle of the plane that an experiment looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from traces.trace import FloatArray


@dataclass(frozen=True)
class Window:
    """A rectangle, borders included, in metres."""

    x_min_m: float
    x_max_m: float
    y_min_m: float
    y_max_m: float

    @property
    def width_m(self) -> float:
        """Extent along x."""
        return self.x_max_m - self.x_min_m

    @property
    def height_m(self) -> float:
        """Extent along y."""
        return self.y_max_m - self.y_min_m

    def contains(self, x_m: FloatArray, y_m: FloatArray) -> npt.NDArray[np.bool_]:
        """Say for each point whether it lies inside, (n,)."""
        return (
            (x_m >= self.x_min_m)
            & (x_m <= self.x_max_m)
            & (y_m >= self.y_min_m)
            & (y_m <= self.y_max_m)
        )


# The paper crops KAIST to 1.5 km x 2 km (section IV.B) and gives no origin; this is the densest
# such rectangle of the data, with 89 % of all samples.
KAIST_WINDOW = Window(x_min_m=-1100.0, x_max_m=400.0, y_min_m=-700.0, y_max_m=1300.0)
