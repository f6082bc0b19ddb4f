"""The native format of BonnMotion, `*.movements` or `*.movements.gz`: one node a line.

A line holds the node's waypoints one after the other, each as seconds, x and y in metres; between
them it moves in a straight line at constant speed. Waypoints of four numbers have a height (3D
scenarios) or a status (the model DisasterArea) besides, which is not read. No line says whether a
file has three or four: it is what makes more lines well formed. Lines with # before are comments.

Source: "BonnMotion, a Mobility Scenario Generation and Analysis Tool", its documentation and
`Scenario.java` (version 3.0.1, University of Osnabrück).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from traces.formats.lines import Collector, LineError, Sample, number
from traces.formats.waypoints import sampled
from traces.recording import Content, ReadingRules
from traces.trace_files import Head, open_text

_SIZES = (3, 4)  # numbers a waypoint
_LONGEST_LINE = 16_000_000  # characters: some 300,000 waypoints of one node


def recognises(head: Head) -> bool:
    """Say whether at least half of the first lines are waypoints, several in most of them."""
    lines = [line.split() for line in head.lines if not line.startswith("#")]
    size = _size(lines)
    sound = [line for line in lines if _is_sound(line, size)]
    several = [line for line in sound if len(line) > size]
    return 2 * len(sound) >= len(lines) and 2 * len(several) >= max(len(sound), 1)


def read(path: Path, name: str, reading: ReadingRules) -> Content:
    """Return the nodes, called node0, node1, ..., on the scenario's clock."""
    collector = Collector(path, reading)
    with open_text(path, _LONGEST_LINE) as text:
        lines = [line.split() for line in text]
    size = _size(lines)
    node = 0
    for line, fields in enumerate(lines, start=1):
        if not fields or fields[0].startswith("#"):
            continue
        try:
            for waypoint in _waypoints(fields, size):
                collector.add(line, f"node{node}", waypoint)
        except LineError as fault:
            collector.bad(line, fault)
        node += 1
    tracks = sampled(path, dict(collector.tables()), reading.sample_s)
    return Content(tuple(filter(len, tracks)), collector.dropped)


def _size(lines: list[list[str]]) -> int:
    """Return how many numbers a waypoint has: what fits most lines, the fewer among equals."""
    return max(_SIZES, key=lambda size: sum(_is_sound(line, size) for line in lines))


def _is_sound(fields: list[str], size: int) -> bool:
    try:
        times_s = [time_s for time_s, _, _ in _waypoints(fields, size)]
    except LineError:
        return False
    return bool(times_s) and all(a < b for a, b in pairwise(times_s))


def _waypoints(fields: list[str], size: int) -> list[Sample]:
    if len(fields) % size:
        raise LineError(f"expected waypoints of {size} numbers each, found {len(fields)} numbers")
    values = [number(field, "seconds, x or y") for field in fields]
    return list(zip(values[::size], values[1::size], values[2::size], strict=True))
