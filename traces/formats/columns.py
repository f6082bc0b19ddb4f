"""Which columns of a table hold what: found out by their names, in whatever case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TraceError

#: What a column holds, by the names that it may have.
_NAMES = {
    "person": "id person person_id user user_id userid uid node node_id vehicle vehicle_id device"
    " device_id trace trace_id name",
    "time": "time time_s t t_s timestamp datetime date_time seconds sec time_sec",
    "x": "x x_m pos_x x_pos easting",
    "y": "y y_m pos_y y_pos northing",
    "lat": "lat latitude lat_deg latitude_deg",
    "lon": "lon lng long longitude lon_deg longitude_deg",
}
_SHOWN = 200  # characters of a first line in the message
_HOLDS = {name: what for what, names in _NAMES.items() for name in names.split()}
_NEEDED = (
    "a time (seconds or ISO 8601), x and y (metres) or lat and lon (degrees), and an id if there"
    " are several people"
)


@dataclass(frozen=True)
class Columns:
    """The places of the columns that are read, counted from 0."""

    time: int
    x: int
    y: int
    person: int | None
    geographic: bool


def looks_like_columns(names: Sequence[str]) -> bool:
    """Say whether names are those of a table of movement: a time and part of a position."""
    held = {_held(name) for name in names}
    return "time" in held and bool(held & {"x", "y", "lat", "lon"})


def find_columns(place: str | Path, names: Sequence[str]) -> Columns:
    """Return where a table has what; messages name its `place`, the file or a line of it.

    Raises TraceError if a column is missing, or there are two that may be meant.
    """
    found = [_held(name) for name in names]
    held = {what: [i for i, its in enumerate(found) if its == what] for what in _NAMES}
    twice = [what for what, places in held.items() if len(places) > 1]
    planar, geographic = (bool(held[a] and held[b]) for a, b in (("x", "y"), ("lat", "lon")))
    if twice or planar == geographic or not held["time"]:
        listed = ", ".join(name.strip() for name in names)
        shown = listed if len(listed) <= _SHOWN else f"{listed[:_SHOWN]}..."
        wrong = "not all that is needed is there"
        if twice:
            wrong = f"{' and '.join(twice)} may be more than one of them"
        elif planar and geographic:
            wrong = "both kinds of position are there"
        raise TraceError(f"{place}: found columns {shown}: {wrong}; needed: {_NEEDED}")
    x, y = ("lon", "lat") if geographic else ("x", "y")
    person = held["person"][0] if held["person"] else None
    return Columns(held["time"][0], held[x][0], held[y][0], person, geographic)


def _held(name: str) -> str | None:
    return _HOLDS.get(name.strip().strip('"').lower().replace(" ", "_"))
