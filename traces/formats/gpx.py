"""GPX 1.0 and 1.1: tracks of GPS receivers.

    <gpx><trk><trkseg>
        <trkpt lat="36.3721" lon="127.3604"><time>2009-10-17T18:37:26Z</time></trkpt>

Each segment of a track is a trace. Whose it is, is said by the folder that the file lies in, or by
the file where that is the folder of all. Nobody is in two places at once: where the times of a
file's tracks (`<trk>`) overlap, each track is a person of its own, called FILE/1, FILE/2, ...
Waypoints and routes have no times and are not read, nor are times in a point's extensions.

Source: GPX 1.1 schema, topografix.com/GPX/1/1/gpx.xsd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path, PurePosixPath

from traces.formats.instants import instant_s
from traces.formats.lines import Collector, LineError, degrees
from traces.formats.xmlfile import Event, elements, has_root
from traces.recording import Content, ReadingRules, Track
from traces.trace_files import Head


def recognises(head: Head) -> bool:
    """Say whether the root element is gpx."""
    return has_root(head, "gpx")


def read(path: Path, name: str, reading: ReadingRules) -> Content:
    """Return the segments, in seconds since 1970, called after the file and numbered if several."""
    collector = Collector(path, reading)
    within: dict[str, int] = {}  # the number of the <trk> that a segment is in
    numbered = segments = 0
    place: Event | None = None
    for event in elements(path, ("trk", "trkseg", "trkpt", "time"), collector):
        match event.kind, event.name:
            case "start", "trk":
                numbered += 1
            case "start", "trkseg":
                segments += 1
            case "start", "trkpt":
                place, time = event, ""
            case "end", "time" if place is not None and event.depth == place.depth + 1:
                time = event.text
            case "end", "trkpt" if place is not None:
                segment = f"{name}-{segments}"
                try:
                    position = degrees(*(place.attributes.get(axis, "") for axis in ("lat", "lon")))
                    collector.add(place.line, segment, (instant_s(time), *position))
                    within[segment] = numbered
                except LineError as fault:
                    collector.bad(place.line, fault)
    folder = PurePosixPath(name).parent.as_posix()
    tracks = collector.tracks(lambda _: name if folder == "." else folder)
    if _overlap(tracks, within):
        tracks = tuple(replace(each, person=f"{name}/{within[each.name]}") for each in tracks)
    if len(tracks) == 1:
        tracks = (replace(tracks[0], name=name),)
    return Content(tracks, collector.dropped, geographic=True)


def _overlap(segments: Sequence[Track], within: Mapping[str, int]) -> bool:
    """Say whether a <trk>, from its first sample to its last, begins before another has ended."""
    times_s: dict[int, list[float]] = {}
    for each in segments:
        times_s.setdefault(within[each.name], []).extend((each.time_s[0], each.time_s[-1]))
    spans_s = sorted((min(times), max(times)) for times in times_s.values())
    return any(after[0] < before[1] for before, after in pairwise(spans_s))
