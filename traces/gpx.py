"""GPX 1.0 and 1.1: tracks of GPS receivers.

    <gpx><trk><trkseg>
        <trkpt lat="36.3721" lon="127.3604"><time>2009-10-17T18:37:26Z</time></trkpt>

Each segment of a track is a trace. Whose it is, is said by the folder that the file lies in, or by
the file where that is the folder of all. Waypoints and routes have no times and are not read.

Source: GPX 1.1 schema, topografix.com/GPX/1/1/gpx.xsd.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from traces.files import Head
from traces.instants import instant_s
from traces.lines import Collector, LineError, degrees
from traces.recording import Content, Reading
from traces.xmlfile import Event, elements, has_root


def recognises(head: Head) -> bool:
    """Say whether the root element is gpx."""
    return has_root(head, "gpx")


def read(path: Path, name: str, reading: Reading) -> Content:
    """Return the segments, called after the file and numbered where it has several.

    Times are in seconds since 1970.

    Raises:
        TraceError: the file cannot be read; or it is malformed (with the line), which `reading`
            does not let pass.
    """
    collector = Collector(path, reading)
    segments = 0
    for event in elements(path, ("trkseg", "trkpt", "time"), collector):
        match event.kind, event.name:
            case "start", "trkseg":
                segments += 1
            case "start", "trkpt":
                place, time = event, ""
            case "end", "time":
                time = event.text
            case "end", "trkpt":
                try:
                    lon_deg, lat_deg = _position(place)
                    sample = instant_s(time), lon_deg, lat_deg
                except LineError as fault:
                    collector.bad(place.line, fault)
                else:
                    collector.add(place.line, f"{name}-{segments}", sample)
    folder = PurePosixPath(name).parent.as_posix()
    tracks = collector.tracks(lambda _: name if folder == "." else folder)
    if len(tracks) == 1:
        tracks = (replace(tracks[0], name=name),)
    return Content(tracks, collector.dropped, geographic=True)


def _position(point: Event) -> tuple[float, float]:
    return degrees(point.attributes.get("lat", ""), point.attributes.get("lon", ""))
