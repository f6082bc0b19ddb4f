"""A person's way through the region, and a set of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np

from testbed.arrays import FloatArray

SamplesT = TypeVar("SamplesT", bound="Samples")

#: How a position between two samples is made of them: the earlier one's, or linearly of both.
Between = Literal["hold", "interpolate"]


@dataclass(frozen=True, eq=False)
class Samples:
    """Where one person was at which time, in coordinates that a subclass names (`AXES`)."""

    AXES: ClassVar[tuple[str, str]]

    name: str  # unique in the data set
    person: str  # whose it is: what a split into training and test goes by
    time_s: FloatArray  # increasing, (n,)

    def __len__(self) -> int:
        return len(self.time_s)

    def segment(self: SamplesT, name: str, start: int, stop: int) -> SamplesT:
        """Return samples `start` to `stop` (exclusive) under a name of their own."""
        part = slice(start, stop)
        return self._mapped(name, self.time_s[part], lambda axis: axis[part])

    def at(
        self: SamplesT, time_s: FloatArray, between: Between = "hold", slack_s: float = 0.0
    ) -> SamplesT:
        """Return the samples at times that lie between the first and the last one.

        A time up to `slack_s` before a sample counts as that sample's own.
        """
        if between == "interpolate":
            return self._mapped(self.name, time_s, lambda x: np.interp(time_s, self.time_s, x))
        sample = np.searchsorted(self.time_s, time_s + slack_s, side="right") - 1
        return self._mapped(self.name, time_s, lambda axis: axis[sample])

    def _mapped(
        self: SamplesT, name: str, time_s: FloatArray, change: Callable[[FloatArray], FloatArray]
    ) -> SamplesT:
        axes: dict[str, Any] = {axis: change(getattr(self, axis)) for axis in self.AXES}
        return replace(self, name=name, time_s=time_s, **axes)


def joined(samples: Sequence[Samples]) -> list[FloatArray]:
    """Return the coordinates of all samples one after the other, axis by axis, (n,) each."""
    return [np.concatenate([getattr(each, axis) for each in samples]) for axis in samples[0].AXES]


@dataclass(frozen=True, eq=False)
class Trace(Samples):
    """Where one person was, sample by sample: a whole day or an unbroken segment of it.

    The name is the file's stem, with `#0`, `#1`, ... once the trace has been cut into segments,
    which share the person and keep the times, seconds since that person's day began.
    """

    AXES: ClassVar = ("x_m", "y_m")

    x_m: FloatArray  # eastwards, (n,)
    y_m: FloatArray  # northwards, (n,)

    @property
    def positions_m(self) -> FloatArray:
        """The positions as rows of x and y in metres, (n, 2)."""
        return np.column_stack((self.x_m, self.y_m))


@dataclass(frozen=True, eq=False)
class TraceSet:
    """Traces of one origin."""

    traces: tuple[Trace, ...]  # in a stable order
    source: str  # what reports call them: the folder's name, or "synthetic campus"
    interval_s: float  # the usual time between two samples
    #: Positions made of the two samples around them; of the whole set, where it was split after.
    interpolated: int = 0

    @property
    def people(self) -> tuple[str, ...]:
        """Everyone in the set, in the order of their first trace."""
        return tuple(dict.fromkeys(trace.person for trace in self.traces))

    @property
    def positions_m(self) -> list[FloatArray]:
        """The positions of each trace, (n, 2) each: what a predictor is trained on."""
        return [trace.positions_m for trace in self.traces]
