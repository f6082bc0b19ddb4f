"""Waiting for a condition with a deadline, for things that can only be asked, not awaited."""

from __future__ import annotations

import time
from collections.abc import Callable

from testbed.errors import EmulationError

_POLL_S = 0.005


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float) -> None:
    """Return as soon as the condition holds; EmulationError after `deadline_s` wall seconds."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            raise EmulationError(f"waited {deadline_s:g} s in vain for {what}")
        time.sleep(_POLL_S)
