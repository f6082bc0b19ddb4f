"""The format of Geolife: one PLT file a trajectory, in the folder of its user.

In the original layout, `Data/NNN/Trajectory/*.plt`, NNN is the user; elsewhere it is the file's
folder. Six lines of heading are followed by one line a sample: latitude and longitude in degrees
(WGS 84), 0, altitude in feet, days since 30 December 1899, date and time (the same instant again).

One sample of the published set lies at latitude 400.17; positions that are not on the Earth are
left out and counted, where a latitude and a longitude are numbers at all.

Source: "GeoLife GPS Trajectories, User Guide 1.3", Microsoft Research Asia, 2012.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from traces.formats.lines import SHOWN, Collector, LineError, Sample, later, number
from traces.recording import Content, Dropped, ReadingRules, Track
from traces.trace_files import Head, open_bytes, open_text

_BEGINNING = "Geolife trajectory"
_HEADING_LINES = 6
_COLUMNS = ("latitude", "longitude", "zero", "altitude", "days", "date", "time")
_READ = ("days", "longitude", "latitude")
_DAY_S = 86400  # the instants are whole seconds, and their days are given to 10 microseconds


def recognises(head: Head) -> bool:
    """Say whether the heading is Geolife's."""
    return bool(head.lines) and head.lines[0].startswith(_BEGINNING)


def trajectory_name(file: Path, _: Path) -> str:
    """Return USER/FILE."""
    folder = file.absolute().parent
    user = folder.parent.name if folder.name == "Trajectory" else folder.name
    return f"{user}/{file.stem}"


def read(path: Path, name: str, reading: ReadingRules) -> Content:
    """Return one trajectory, called USER/FILE; its time is in seconds since 30 December 1899."""
    user = name.partition("/")[0]
    columns = _columns(path)
    if columns is not None:
        time_s, lon_deg, lat_deg = columns
        on_earth = (np.abs(lat_deg) <= 90) & (np.abs(lon_deg) <= 180)
        time_s, lon_deg, lat_deg = time_s[on_earth], lon_deg[on_earth], lat_deg[on_earth]
        on = later(time_s)
        if len(on) and (on.all() or reading.backwards == "drop"):
            track = Track(name, user, time_s[on], lon_deg[on], lat_deg[on])
            dropped = Dropped(off_earth=int((~on_earth).sum()), backwards=int((~on).sum()))
            return Content((track,), dropped, geographic=True)
    return _by_lines(path, name, user, reading)


def _columns(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return seconds, longitudes and latitudes, or None: they have to be read line by line."""
    with open_bytes(path) as file:
        content = file.read()
    if not content.lstrip(b"\xef\xbb\xbf").startswith(_BEGINNING.encode()):
        return None
    reading = csv.ReadOptions(use_threads=False, skip_rows=_HEADING_LINES, column_names=_COLUMNS)
    types = dict.fromkeys(_READ, pa.float64())
    converting = csv.ConvertOptions(include_columns=_READ, column_types=types)
    try:
        table = csv.read_csv(pa.BufferReader(content), reading, convert_options=converting)
        days, lon_deg, lat_deg = (table[name].to_numpy() for name in _READ)
    except pa.ArrowInvalid:
        return None
    sound = all(bool(np.isfinite(column).all()) for column in (days, lon_deg, lat_deg))
    return (np.rint(days * _DAY_S), lon_deg, lat_deg) if sound else None


def _by_lines(path: Path, name: str, user: str, reading: ReadingRules) -> Content:
    off_earth = 0

    def parse(line: str) -> tuple[str, Sample] | None:
        nonlocal off_earth
        fields = line.strip().split(",")
        if fields == [""]:
            return None
        if len(fields) != len(_COLUMNS):
            expected = f"expected {len(_COLUMNS)} fields ({', '.join(_COLUMNS)})"
            raise LineError(f"{expected}, found {len(fields)} in {line.strip()[:SHOWN]!r}")
        lat_deg, lon_deg, days = (number(fields[i], _COLUMNS[i]) for i in (0, 1, 4))
        if abs(lat_deg) > 90 or abs(lon_deg) > 180:
            off_earth += 1
            return None
        return name, (float(round(days * _DAY_S)), lon_deg, lat_deg)

    collector = Collector(path, reading)
    with open_text(path) as lines:
        heading = [next(lines, "") for _ in range(_HEADING_LINES)]
        if not heading[0].startswith(_BEGINNING):
            collector.bad(1, f"expected {_BEGINNING!r}, found {heading[0].strip()[:SHOWN]!r}")
        collector.read(lines, parse, first_line=_HEADING_LINES + 1)
    dropped = collector.dropped + Dropped(off_earth=off_earth)
    return Content(collector.tracks(lambda _: user), dropped, geographic=True)
