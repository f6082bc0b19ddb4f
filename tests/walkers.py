"""Traces of people who walk along x, for tests of commands and experiments."""

from __future__ import annotations

from pathlib import Path


def write_walkers(folder: Path, people: int) -> Path:
    """Write a file for each: 60 positions, 20 m a step; return the folder."""
    folder.mkdir()
    digits = len(str(people - 1))
    for person in range(people):
        lines = [f"{30 * step} {-900 + 20 * step} {10 * person}" for step in range(60)]
        (folder / f"walker_{person:0{digits}d}.txt").write_text("\n".join(lines) + "\n")
    return folder
