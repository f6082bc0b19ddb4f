"""Reads statistics at a steady pace beside the queries, so that none waits for a reading."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from testbed.errors import MachineError
from testbed.gpu.stats import ServerStats, StatsSource

_log = logging.getLogger(__name__)


class Sampler:
    """Keeps the latest statistics of a source; a context manager, which reads while it is open.

    A modelled accelerator needs none: reading it costs nothing, and it is not made for threads.
    From the second reading on, the source is read every `period_s` wall seconds in a thread of its
    own, where `clients` says how many clients have had work. The source is not closed here.
    """

    def __init__(self, source: StatsSource, period_s: float, clients: Callable[[], int]) -> None:
        if not period_s > 0:
            raise ValueError(f"cannot sample every {period_s} s")
        self._source = source
        self._period_s = period_s
        self._clients = clients
        self._latest: ServerStats | Exception | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="statistics", daemon=True)

    def __enter__(self) -> Sampler:
        """Take the first reading, whose error is the caller's, and go on in the background."""
        self._latest = self._source.read(self._clients())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop reading; the source is no longer in use when this returns."""
        self._stopping.set()
        self._thread.join()

    def latest(self) -> ServerStats:
        """Return the latest statistics, at once.

        Raises MachineError if the latest reading failed; statistics from before are not passed off
        as present ones. A later reading may work again.
        """
        if isinstance(self._latest, Exception):
            raise MachineError(f"no statistics: {self._latest}") from self._latest
        if self._latest is None:
            raise RuntimeError("the sampler was not started")
        return self._latest

    def _sample(self) -> None:
        while not self._stopping.wait(self._period_s):
            try:
                self._latest = self._source.read(self._clients())
            except Exception as error:
                if not isinstance(self._latest, Exception):  # one line for each outage
                    _log.exception("statistics cannot be read")
                self._latest = error
