"""Max-min fair rates of flows that share links (Bertsekas and Gallager, Data Networks, 6.5.2).

All rates grow together until a link is full or a flow has what it can use; those flows are done,
and the others go on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from testbed.arrays import FloatArray


def max_min(paths: Sequence[Sequence[int]], most: FloatArray, capacities: FloatArray) -> FloatArray:
    """Return the rate of each flow, (f,).

    `paths` are the links of each of f flows, as indices, and `most` what each can use, (f,),
    infinity where that is any rate; one without links has what it can use. `capacities` of the
    links, (l,), are in the unit of the rates.
    """
    rates = np.zeros(len(paths))
    flow = np.repeat(np.arange(len(paths)), [len(path) for path in paths])
    link = np.array([each for path in paths for each in path], dtype=np.int64)
    growing = most > 0
    left = capacities.astype(float)
    while growing.any():
        active = growing[flow]
        users = np.bincount(link[active], minlength=len(left))
        used = users > 0
        room = (most - rates)[growing].min()
        if used.any():
            room = min(room, (left[used] / users[used]).min())
        rates[growing] += room
        left[used] -= room * users[used]
        full = used & (left <= 1e-9 * capacities)
        growing[flow[active & full[link]]] = False
        growing &= rates < most * (1 - 1e-12)
    return rates
