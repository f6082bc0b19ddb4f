"""A person's way through the region, and a set of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trace:
    """Where one person was, sample by sample: a whole day or an unbroken segment of it.

    Args:
        name: the file's stem, with `#0`, `#1`, ... once the trace has been cut into segments.
        person: what a split into training and test goes by; the segments of a day share it.
        time_s: seconds since the person's day began, increasing, (n,); a segment keeps them.
        x_m: metres eastwards, (n,).
        y_m: metres northwards, (n,).
    """

    name: str
    person: str
    time_s: FloatArray
    x_m: FloatArray
    y_m: FloatArray

    def __len__(self) -> int:
        return len(self.time_s)

    @property
    def positions_m(self) -> FloatArray:
        """The positions as rows of x and y in metres, (n, 2)."""
        return np.column_stack((self.x_m, self.y_m))

    def segment(self, name: str, start: int, stop: int) -> Trace:
        """Return samples `start` to `stop` (exclusive) under a name of their own."""
        part = slice(start, stop)
        return Trace(name, self.person, self.time_s[part], self.x_m[part], self.y_m[part])


@dataclass(frozen=True, eq=False)
class TraceSet:
    """Traces of one origin.

    Args:
        traces: in a stable order.
        source: what reports call them: the folder's name, or "synthetic campus".
        interval_s: the usual time between two samples.
    """

    traces: tuple[Trace, ...]
    source: str
    interval_s: float

    @property
    def people(self) -> tuple[str, ...]:
        """Everyone in the set, in the order of their first trace."""
        return tuple(dict.fromkeys(trace.person for trace in self.traces))

    @property
    def positions_m(self) -> list[FloatArray]:
        """The positions of each trace, (n, 2) each: what a predictor is trained on."""
        return [trace.positions_m for trace in self.traces]
