"""What a policy is asked: a walker among four servers on a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from testbed.decision.holdings import Holdings
from testbed.decision.policies import Situation
from testbed.dnn.partitioning.cold_start import ColdStart
from testbed.values import AccessPoint, Prediction, names_around

ON_A_LINE = tuple(AccessPoint(name, x, 0.0) for name, x in (("far", 90.0), ("here", 0.0)))
ON_A_LINE += (AccessPoint("near", 40.0, 0.0), AccessPoint("beside", 40.0, 30.0))

PLANS = {"here": (0, 1), "near": (2, 0, 1), "beside": (1,), "far": ()}
LAYER_BYTES = (1_000_000, 2_000_000, 3_000_000)

#: The plan's groups: 3 MB gain 6 queries, and 1 and 2 MB more another and another half.
VALUE = ColdStart((0, 1, 2, 3), np.array([0.0, 3e6, 4e6, 6e6]), np.array([30.0, 36.0, 37.0, 37.5]))


def situation(
    x_m: float = 40.0,
    current: str = "here",
    visits: Mapping[str, Sequence[float]] | None = None,
    held_until_s: Mapping[str, float] | None = None,
    held_bytes: float = 0.0,
    previous: str | None = None,
    up_bytes_s: float = 1e6,
) -> Situation:
    """Return what a policy is asked at 60 s; the client came 40 s before."""

    def plan(server: str) -> Sequence[int]:
        return PLANS[server]

    holdings = Holdings(up_bytes_s)
    if previous is not None:
        holdings.at(previous, 0.0)
    holdings.at(current, 20.0)
    for server, until_s in (held_until_s or {}).items():
        holdings.offer(server, 20.0, until_s)
        holdings.expect(server, held_bytes)
    return Situation(
        current=current,
        prediction=Prediction("walker", 60.0, x_m, 0.0),
        around=partial(names_around, ON_A_LINE, x_m, 0.0),
        plan=plan,
        layer_bytes=LAYER_BYTES,
        ends_s=90.0,
        until_s=210.0,
        visits=lambda: visits or {},
        holdings=holdings,
        cold_start=lambda server: VALUE,
    )
