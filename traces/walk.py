"""A scripted walk, for experiments that decide themselves who moves when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

#: One is replayed and the other trains the predictor, whichever the seed draws.
PEOPLE = 2


def write_walk(folder: Path, positions_m: Sequence[tuple[float, float]], interval_s: float) -> None:
    """Write people who all walk the same way, in the format that `crawdad` reads.

    They are at `positions_m` (x, y) one after the other, `interval_s` each, and each of them sets
    out one interval after the one before; so no file is another's copy, which would be dropped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for person in range(1, PEOPLE + 1):
        lines = [
            f"{step * interval_s:g} {x:g} {y:g}\n"
            for step, (x, y) in enumerate(positions_m, start=person)
        ]
        (folder / f"walker{person}.txt").write_text("".join(lines), encoding="utf-8")
