"""Floating car data of SUMO (`--fcd-output`): every vehicle and person at every time step.

    <fcd-export>
        <timestep time="0.00">
            <vehicle id="car.1" x="104.95" y="20.10" .../>
            <person id="walker.1" x="12.00" y="7.50" .../>

x and y are metres, or with `--fcd-output.geo` longitude and latitude. Which of the two they are is
said by the options that SUMO writes into a comment at the beginning. Without them, a file is taken
for one in degrees if all values fit and nobody moves by as much as 0.01 a second: that would be
above 1 km/s in degrees, and in metres a scenario in which nobody really moves.

Source: SUMO's user documentation, "FCD output", and its schema `fcd_file.xsd`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from traces.formats.lines import Collector, LineError, number
from traces.formats.xmlfile import Event, elements, has_root
from traces.recording import Content, ReadingRules, Track
from traces.trace_files import Head, head

_STEP = "timestep"
_MOVERS = ("vehicle", "person")
_GEO_OPTION = re.compile(rb'<fcd-output\.geo\s+value="(\w+)"')
_MAX_DEGREES_PER_S = 0.01
_OPTIONS = re.compile(rb"<fcd-output\s+value=")


def recognises(head: Head) -> bool:
    """Say whether the root element is fcd-export."""
    return has_root(head, "fcd-export")


def read(path: Path, name: str, reading: ReadingRules) -> Content:
    """Return all vehicles and persons, on the simulation's clock."""
    collector = Collector(path, reading)
    time_s: float | None = None
    for event in elements(path, (_STEP, *_MOVERS), collector):
        if event.kind == "end":
            continue
        try:
            if event.name == _STEP:
                time_s = None
                time_s = number(event.attributes.get("time", ""), "the timestep's time")
            elif time_s is not None:
                x, y = (_coordinate(event, axis) for axis in "xy")
                collector.add(event.line, f"{event.name}/{_identity(event)}", (time_s, x, y))
        except LineError as fault:
            collector.bad(event.line, fault)
    tracks = collector.tracks()
    uses = Counter(map(_bare, tracks))
    names = [_bare(each) if uses[_bare(each)] == 1 else each.name for each in tracks]
    renamed = (replace(t, name=own, person=own) for t, own in zip(tracks, names, strict=True))
    return Content(tuple(renamed), collector.dropped, _is_geographic(path, tracks))


def _coordinate(mover: Event, axis: str) -> float:
    return number(mover.attributes.get(axis, ""), f"{mover.name}'s {axis}")


def _identity(mover: Event) -> str:
    if not (identity := mover.attributes.get("id")):
        raise LineError("it has no id")
    return identity


def _bare(track: Track) -> str:
    """Return a mover's own name, without its kind."""
    return track.name.partition("/")[2]


def _is_geographic(path: Path, tracks: Sequence[Track]) -> bool:
    beginning = head(path).raw
    if _OPTIONS.search(beginning):
        option = _GEO_OPTION.search(beginning)
        return option is not None and option[1] in (b"true", b"1")
    fits = all((np.abs(track.x) <= 180).all() and (np.abs(track.y) <= 90).all() for track in tracks)
    return fits and 0 < max(map(_fastest, tracks), default=0.0) < _MAX_DEGREES_PER_S


def _fastest(track: Track) -> float:
    """Return the greatest speed along either axis, in units of x and y a second."""
    steps = np.abs([np.diff(track.x), np.diff(track.y)]) / np.diff(track.time_s)
    return float(steps.max(initial=0.0))
