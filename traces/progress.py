"""A bar on the terminal for what takes longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_MOMENT_S = 1.0

Item = TypeVar("Item")


def with_progress(items: Iterable[Item], what: str, total: int) -> Iterator[Item]:
    """Yield the items; where stderr is a terminal, it shows how many of `total` there were."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from items
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console, transient=True)
    task = progress.add_task(what, total=total)
    began_s, started = time.monotonic(), False
    try:
        for item in items:
            yield item
            progress.advance(task)
            if not started and time.monotonic() - began_s > _MOMENT_S:
                progress.start()
                started = True
    finally:
        if started:
            progress.stop()
