"""Movement written by generators and simulators, and what is read of it."""

from __future__ import annotations

from pathlib import Path

from tests.traces.samples import write
from traces.loading import load
from traces.recording import ReadingRules, Recording


def loaded(
    folder: Path, name: str, text: str, forced: str = "auto", **reading: object
) -> Recording:
    return load(write(folder / name, (text,)), forced, ReadingRules(**reading))


def positions(recording: Recording, track: int = 0) -> list[tuple[float, float, float]]:
    found = recording.tracks[track]
    return list(zip(*(each.tolist() for each in (found.time_s, found.x, found.y)), strict=True))


PLACED = "$node_(0) set X_ 0.0\n$node_(0) set Y_ 0.0\n$node_(0) set Z_ 0.0\n"


def order(time_s: float, values: str, node: str = "0") -> str:
    return f'$ns_ at {time_s} "$node_({node}) setdest {values}"\n'
