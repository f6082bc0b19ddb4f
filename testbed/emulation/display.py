"""The live line of a run, and its counts."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.text import Text

#: Where the output is no terminal, a line is printed this often instead (wall seconds).
PLAIN_EVERY_S = 15.0


@dataclass
class Counts:
    """What has happened so far."""

    queries: int = 0
    handovers: int = 0
    hits: int = 0
    migrated_bytes: int = 0


class Progress:
    """Shows emulated time, queries, handovers, hits, migrated Mbit and the time left."""

    def __init__(self, console: Console, duration_s: float, tdf: float) -> None:
        self.counts = Counts()
        self._console = console
        self._duration_s = duration_s
        self._tdf = tdf
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._printed_s = 0.0

    def phase(self, text: str) -> None:
        """Say what the bring-up is doing."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def start(self) -> None:
        """Begin to show the run."""
        if self._console.is_terminal:
            self._live.start()

    def update(self, now_s: float) -> None:
        """Show the counts at an emulated time."""
        if self._console.is_terminal:
            self._live.update(Text(self.line(now_s)), refresh=True)
        elif now_s * self._tdf >= self._printed_s + PLAIN_EVERY_S:
            self._printed_s = now_s * self._tdf
            self._console.print(self.line(now_s), highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the line away."""
        if self._console.is_terminal:
            self._live.stop()

    def line(self, now_s: float) -> str:
        """Return the progress as text."""
        counts = self.counts
        left_s = max(0.0, self._duration_s - now_s) * self._tdf
        return (
            f"{now_s:6.1f} of {self._duration_s:g} s | {counts.queries} queries | "
            f"{counts.handovers} handovers, {counts.hits} hits | "
            f"{counts.migrated_bytes * 8 / 1e6:,.0f} Mbit migrated | {left_s:.0f} s to wait"
        )
