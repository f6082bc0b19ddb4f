"""How many queries a client executes right after a change of server, by what is there already.

What the server lacks is uploaded meanwhile, most efficient layers first (section III.C.2), so
queries become faster group by group. The difference between two starts is what the layers between
them are worth to a client that comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from testbed.arrays import BoolArray, FloatArray
from testbed.dnn.graph import LayerGraph
from testbed.dnn.partitioning.partition import Costs, Planner
from testbed.dnn.partitioning.partitioner import best_plan
from testbed.dnn.partitioning.upload_stages import stages


class ColdStart(NamedTuple):
    """Queries by how many groups of layers are there when the client comes, from none to all g."""

    layers: tuple[int, ...]  # how many layers these groups have, (g + 1,)
    ends_bytes: FloatArray  # how large they are, (g + 1,)
    queries: FloatArray  # executed within a time after arrival, (g + 1,)

    def groups(self, present_bytes: float) -> int:
        """Return how many groups lie whole in so many bytes."""
        return int(np.searchsorted(self.ends_bytes, present_bytes, side="right")) - 1


def cold_start(
    graph: LayerGraph,
    costs: Costs,
    on_server: BoolArray,
    groups: Sequence[Sequence[int]],
    *,
    gap_s: float,
    within_s: float,
    planner: Planner = best_plan,
) -> ColdStart:
    """Return the queries that a client executes within a time, uploading what is missing.

    The upload has the uplink for itself, and a query begins when the last one's gap is over, in
    parts too: what is counted is time over the time of a query.

    `costs` are those of the client, an idle or a busy server, and the link; `on_server`, (n,), is
    the plan, whose layers with weights arrive in `groups`; `planner` made it, and plans for what is
    there. `gap_s` lies between an answer and the
    next query; `within_s` counts from the client's arrival.
    """
    sent = [tuple(group) for group in groups]
    counts = tuple(accumulate(map(len, sent), initial=0))
    passed = list(stages(graph, costs, on_server, sent, planner))
    ends_bytes = np.cumsum([0.0, *(stage.lasts_bytes for stage in passed[:-1])])
    latency_s = [stage.plan.latency_s for stage in passed]
    queries_s = 1 / (np.array(latency_s) + gap_s)  # in a second, while so much is there
    begins_s = 8 * (ends_bytes - ends_bytes[:, np.newaxis]) / costs.up_bps  # (present, later)
    begins_s = begins_s.clip(0.0, within_s)
    ends_s = np.concatenate((begins_s[:, 1:], np.full((len(counts), 1), within_s)), axis=1)
    lasts_s = np.triu(ends_s - begins_s)  # what is there at first stays
    return ColdStart(counts, ends_bytes, lasts_s @ queries_s)
