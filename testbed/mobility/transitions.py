"""How people went from server to server in training: each cell's history of visits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from testbed.arrays import IntArray

Columns = npt.NDArray[np.float32]
Counts = npt.NDArray[np.float64]

#: Visits that are assumed where none were seen: one of two that leave goes to some server out of
#: the six around.
_PRIOR_GOING, _PRIOR_LEAVING = 0.5, 6.0


class Flows:
    """Counts of changes between servers, by the server each person used at each step, (m,) each."""

    def __init__(self, attached: Sequence[IntArray], servers: int) -> None:
        self._servers = servers
        changes = np.concatenate([np.empty(0, np.int64), *map(self._changes, attached)])
        keys, counts = np.unique(changes, return_counts=True)
        origin, target = np.divmod(keys, servers)
        self._leaving = np.bincount(origin, counts, servers).astype(float)
        self._entering = np.bincount(target, counts, servers).astype(float)
        # One more key than there are changes, which none has: where a search for others ends.
        self._keys, self._counts = np.append(keys, -1), np.append(counts, 0)

    def features(self, origin: IntArray, target: IntArray, own: Flows | None = None) -> Columns:
        """Return what r pairs of servers tell, (r, 3), on logarithmic scales.

        The share of those who left `origin`, (r,), where someone is, that went to `target`, (r,),
        how many entered `target`, and how many left `origin`. What that person did themselves,
        `own`, is left out: in training, the answer is in it.
        """
        going, leaving, entering = self._of(origin, target)
        if own is not None:
            less = own._of(origin, target)
            going, leaving, entering = going - less[0], leaving - less[1], entering - less[2]
        share = (going + _PRIOR_GOING) / (leaving + _PRIOR_LEAVING)
        return np.column_stack((np.log(share), np.log1p(entering), np.log1p(leaving))).astype(
            np.float32
        )

    def _of(self, origin: IntArray, target: IntArray) -> tuple[Counts, Counts, Counts]:
        keys = origin * self._servers + target
        place = np.searchsorted(self._keys[:-1], keys)
        going = np.where(self._keys[place] == keys, self._counts[place], 0.0)
        return going, self._leaving[origin], self._entering[target]

    def _changes(self, attached: IntArray) -> IntArray:
        changed = np.flatnonzero(np.diff(attached))
        return attached[changed] * self._servers + attached[changed + 1]
