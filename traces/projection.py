"""From degrees to metres and distances on the Earth, both on the WGS 84 ellipsoid (pyproj).

The projection is azimuthal equidistant: true in scale at its centre and in distance and direction
from it; within 10 km of it, no distance is off by more than one part in a million.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from pyproj import Geod, Proj

from traces.recording import Track
from traces.trace import Trace, joined

_EARTH = Geod(ellps="WGS84")
_HALF_DEG = 180.0
_PARALLEL_POINTS = 361  # a parallel is measured in so many steps, each of them a geodesic


def project(tracks: Sequence[Track], centre_deg: tuple[float, float]) -> tuple[Trace, ...]:
    """Return geographic tracks in metres east and north of a centre (latitude, longitude)."""
    lat_deg, lon_deg = centre_deg
    projection = Proj(proj="aeqd", lat_0=lat_deg, lon_0=lon_deg, ellps="WGS84")
    all_lon_deg, all_lat_deg = joined(tracks)
    x_m, y_m = projection(all_lon_deg, all_lat_deg)
    ends = np.cumsum([0, *map(len, tracks)])
    return tuple(
        Trace(track.name, track.person, track.time_s, x_m[start:stop], y_m[start:stop])
        for track, (start, stop) in zip(tracks, pairwise(ends), strict=True)
    )


def planar(tracks: Sequence[Track]) -> tuple[Trace, ...]:
    """Return tracks that are in metres already."""
    return tuple(Trace(t.name, t.person, t.time_s, t.x, t.y) for t in tracks)


def unwrapped(tracks: tuple[Track, ...]) -> tuple[Track, ...]:
    """Return geographic tracks with longitudes that do not jump at 180 degrees.

    Where they span more than half the Earth, the negative ones are counted on eastwards, beyond
    180: who walks from 179.99 to -179.99 degrees goes 0.02 degrees further, not round the Earth.
    They stay where that takes them further apart, as those on both sides of 0 are.
    """
    shifted = tuple(replace(t, x=np.where(t.x < 0, t.x + 2 * _HALF_DEG, t.x)) for t in tracks)
    span_deg = _span_deg(tracks)
    return shifted if span_deg > _HALF_DEG and _span_deg(shifted) < span_deg else tracks


def _span_deg(tracks: Sequence[Track]) -> float:
    west = min(float(track.x.min()) for track in tracks)
    return max(float(track.x.max()) for track in tracks) - west


def way_m(track: Track) -> float:
    """Return the length of a geographic track, along geodesics from sample to sample."""
    return float(_EARTH.line_length(track.x, track.y))


def extent_m(tracks: Sequence[Track]) -> tuple[float, float]:
    """Return width and height of geographic tracks: along the middle parallel, and the meridian."""
    lon_deg, lat_deg = joined(tracks)
    west, east, south, north = lon_deg.min(), lon_deg.max(), lat_deg.min(), lat_deg.max()
    middle = (south + north) / 2
    parallel = np.linspace(west, east, _PARALLEL_POINTS)
    width_m = _EARTH.line_length(parallel, np.full(_PARALLEL_POINTS, middle))
    return float(width_m), float(_EARTH.line_length([west, west], [south, north]))


def middle_deg(tracks: Sequence[Track]) -> tuple[float, float]:
    """Return the median latitude and longitude of geographic tracks."""
    lon_deg, lat_deg = map(np.median, joined(tracks))
    return float(lat_deg), float(lon_deg)
