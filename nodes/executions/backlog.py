"""How much work waits for the execution pool, and the share of queries that it has time for."""

from __future__ import annotations

import mmap
import struct

_SHARE = struct.Struct("=d")
SHARE_BYTES = _SHARE.size
_FIRST_COST_A_S = 25e9  # multiply-adds a second of a core, until something has been executed
_WEIGHT_OF_LAST = 0.1
_LEAST_S = 2.0


class Backlog:
    """Costs in multiply-adds, sizes in bytes.

    Args:
        processors: how many work on it at the run's end.
        most_s: for how long they may then; a little may always wait.
        most_bytes: of tensors that wait.
        most_share: of the queries, whatever the time.
    """

    def __init__(
        self, processors: int, most_s: float, most_bytes: float, most_share: float
    ) -> None:
        self._processors = processors
        self._most_s = max(most_s, _LEAST_S)
        self._most_bytes = most_bytes
        self._most_share = most_share
        self._cost = 0.0
        self._bytes = 0
        self._cost_a_s = _FIRST_COST_A_S

    def add(self, cost: float, size_bytes: int) -> None:
        """Work has come."""
        self._cost += cost
        self._bytes += size_bytes

    def remove(self, cost: float, size_bytes: int) -> None:
        """Work is done."""
        self._cost -= cost
        self._bytes -= size_bytes

    def took(self, cost: float, processor_s: float) -> None:
        """Note how long some work took a processor."""
        if processor_s > 0:
            latest = cost / processor_s
            self._cost_a_s += _WEIGHT_OF_LAST * (latest - self._cost_a_s)

    def close(self) -> None:
        """Take no more."""
        self._most_share = 0.0

    @property
    def share(self) -> float:
        """All queries while less than half of what may wait does; then less, down to none."""
        waits_s = self._cost / self._cost_a_s / self._processors
        full = max(_over(waits_s, self._most_s), _over(self._bytes, self._most_bytes))
        return min(self._most_share, max(0.0, 2.0 - 2.0 * full))


def write_share(where: mmap.mmap, share: float) -> None:
    """Tell all nodes a share of the queries, 0 to 1."""
    _SHARE.pack_into(where, 0, share)


def read_share(where: mmap.mmap) -> float:
    """Return what `write_share` wrote last."""
    return float(_SHARE.unpack_from(where)[0])


def _over(value: float, most: float) -> float:
    return value / most if most > 0 else float(value > 0)
